"""The tables, nothing else. Words as in docs/architecture.md."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.columns import Base, BigId
from service.states import (
    DeliveryKind,
    DeliveryState,
    DispatchState,
    Kind,
    ReleaseState,
    SubscriptionState,
    SuppressionReason,
)


class Newsroom(Base):
    """One publisher's press room."""

    __tablename__ = "newsrooms"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    language: Mapped[str] = mapped_column(String(2))
    timezone: Mapped[str] = mapped_column(String(64))
    tagline: Mapped[str] = mapped_column(String(300), default="")
    about: Mapped[str] = mapped_column(Text, default="")
    address: Mapped[str] = mapped_column(Text, default="")
    phone: Mapped[str] = mapped_column(String(50), default="")
    website: Mapped[str] = mapped_column(String(500), default="")
    accent: Mapped[str] = mapped_column(String(7), default="")
    sender_name: Mapped[str] = mapped_column(String(200), default="")
    sender_address: Mapped[str] = mapped_column(String(320), default="")
    bounce_address: Mapped[str] = mapped_column(String(320), default="")
    privacy: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    contacts: Mapped[list["Contact"]] = relationship(
        order_by="Contact.position", cascade="all, delete-orphan", passive_deletes=True
    )


class Contact(Base):
    """Somebody whom journalists may call, of a newsroom."""

    __tablename__ = "contacts"

    id: Mapped[int] = mapped_column(primary_key=True)
    newsroom_id: Mapped[int] = mapped_column(ForeignKey("newsrooms.id", ondelete="CASCADE"), index=True)
    position: Mapped[int]
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(300), default="")
    phone: Mapped[str] = mapped_column(String(50), default="")
    email: Mapped[str] = mapped_column(String(320), default="")


class Release(Base):
    """One press release, known by newsroom and slug."""

    __tablename__ = "releases"
    __table_args__ = (
        UniqueConstraint("newsroom_id", "slug"),
        Index(None, "newsroom_id", "state", "published_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    newsroom_id: Mapped[int] = mapped_column(ForeignKey("newsrooms.id"))
    slug: Mapped[str] = mapped_column(String(120))
    kind: Mapped[Kind]
    state: Mapped[ReleaseState]
    version: Mapped[int]
    mailed: Mapped[bool]
    publish_at: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    newsroom: Mapped[Newsroom] = relationship()


class Version(Base):
    """The text of a release, never changed; its number is the release's version."""

    __tablename__ = "versions"
    __table_args__ = (UniqueConstraint("release_id", "number", "language"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"))
    number: Mapped[int]
    language: Mapped[str] = mapped_column(String(2))
    headline: Mapped[str] = mapped_column(String(300))
    lead: Mapped[str] = mapped_column(Text, default="")
    body: Mapped[str] = mapped_column(Text)
    keywords: Mapped[list[str]] = mapped_column(default=list)
    contacts: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    created_at: Mapped[datetime]


class Subscription(Base):
    """One address following one newsroom; after it has ended, a tombstone without the address."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        UniqueConstraint("newsroom_id", "address_hash"),
        Index(None, "newsroom_id", "state"),
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


class Dispatch(Base):
    """One mailing of one version to everyone who followed at the moment of publishing."""

    __tablename__ = "dispatches"
    __table_args__ = (UniqueConstraint("release_id", "version"), Index(None, "state"))

    id: Mapped[int] = mapped_column(primary_key=True)
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"))
    version: Mapped[int]
    state: Mapped[DispatchState]
    recipients: Mapped[int | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    rung_at: Mapped[datetime | None]

    release: Mapped[Release] = relationship()


class Message(Base):
    """A dispatch's compiled mail in one language: stored bytes, joined for each recipient (see service/mail)."""

    __tablename__ = "messages"
    __table_args__ = (UniqueConstraint("dispatch_id", "language"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    dispatch_id: Mapped[int] = mapped_column(ForeignKey("dispatches.id"))
    language: Mapped[str] = mapped_column(String(2))
    sender: Mapped[str] = mapped_column(String(320))
    content: Mapped[bytes] = mapped_column(LargeBinary)


class Claim(Base):
    """One worker's hold on a batch of deliveries, for as long as its lease."""

    __tablename__ = "claims"
    __table_args__ = (Index(None, "closed", "lease_until"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    queue: Mapped[str] = mapped_column(String(20))
    dispatch_id: Mapped[int | None] = mapped_column(ForeignKey("dispatches.id"), index=True)
    worker: Mapped[str] = mapped_column(String(120))
    claimed_at: Mapped[datetime]
    lease_until: Mapped[datetime]
    closed: Mapped[bool] = mapped_column(default=False)


DUE = text("state IN ('queued', 'deferred')")
"""A delivery that may be claimed, written out so that both databases use the partial index on it."""


class Delivery(Base):
    """One mail: a row before it leaves. `handed_over_at` is committed before the relay may see it."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("dispatch_id", "subscription_id"),
        Index(None, "dispatch_id", "state"),
        Index("ix_deliveries_due", "dispatch_id", "due_at", "id", sqlite_where=DUE, postgresql_where=DUE),
        CheckConstraint("(kind = 'release') = (dispatch_id IS NOT NULL)", name="release_has_dispatch"),
        CheckConstraint("handed_over_at IS NULL OR claim_id IS NOT NULL", name="handed_over_by_claim"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    kind: Mapped[DeliveryKind]
    dispatch_id: Mapped[int | None] = mapped_column(ForeignKey("dispatches.id"))
    subscription_id: Mapped[int] = mapped_column(ForeignKey("subscriptions.id"), index=True)
    state: Mapped[DeliveryState]
    held: Mapped[bool] = mapped_column(default=False)
    dropped: Mapped[bool] = mapped_column(default=False)
    attempts: Mapped[int] = mapped_column(default=0)
    uncertain_events: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    claim_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("claims.id"), index=True)
    handed_over_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    reply_code: Mapped[int | None]
    reply: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]


class Relay(Base):
    """What is known of the relay: one row."""

    __tablename__ = "relay"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    unreachable_since: Mapped[datetime | None]
    next_try_at: Mapped[datetime | None]
    last_words: Mapped[str | None] = mapped_column(Text)


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
