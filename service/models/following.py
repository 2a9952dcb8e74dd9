"""Who follows, what they agreed to, and who must not be mailed."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.columns import Base
from service.models.content import Newsroom
from service.states import SubscriptionState, SuppressionReason


class Subscription(Base):
    """One address following one newsroom; after it has ended, a tombstone without the address."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        UniqueConstraint("newsroom_id", "address_hash"),
        Index(None, "newsroom_id", "state"),
        Index(None, "newsroom_id", "id"),
        Index(None, "state", "expires_at"),
        Index(None, "ended_at"),
        CheckConstraint("(address IS NULL) = (state = 'ended')", name="address_until_ended"),
        CheckConstraint("(address_hash IS NULL) = (address IS NULL)", name="hash_with_address"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    newsroom_id: Mapped[int] = mapped_column(ForeignKey("newsrooms.id"))
    address: Mapped[str | None] = mapped_column(String(320))
    address_hash: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[SubscriptionState]
    language: Mapped[str] = mapped_column(String(2))
    leave_token: Mapped[str] = mapped_column(String(22), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    newsroom: Mapped[Newsroom] = relationship()


class Consent(Base):
    """One accepted request to follow: when, on which page, and the exact text that was shown (GDPR 7(1))."""

    __tablename__ = "consents"
    __table_args__ = (Index(None, "address_hash", "requested_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    subscription_id: Mapped[int] = mapped_column(ForeignKey("subscriptions.id"), index=True)
    newsroom_id: Mapped[int] = mapped_column(ForeignKey("newsrooms.id"))
    address_hash: Mapped[str | None] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(Text)
    text_version: Mapped[str] = mapped_column(String(64))
    page: Mapped[str] = mapped_column(String(500))
    language: Mapped[str] = mapped_column(String(2))
    mailed: Mapped[bool]
    requested_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]


class Suppression(Base):
    """An address, by its keyed hash, that must not be mailed."""

    __tablename__ = "suppressions"
    __table_args__ = (UniqueConstraint("address_hash", "newsroom_id", "reason"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    address_hash: Mapped[str] = mapped_column(String(64), index=True)
    newsroom_id: Mapped[int | None] = mapped_column(ForeignKey("newsrooms.id"))
    reason: Mapped[SuppressionReason]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
