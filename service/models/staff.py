"""People and programs of the desk, and what they did."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.columns import Base, BigId
from service.models.content import Newsroom
from service.states import Role


class Staff(Base):
    """Somebody of the desk. `link_hash` is of the one-time link to set a password; no hash, no log-in."""

    __tablename__ = "staff"

    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(String(320))
    address_hash: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200), default="")
    password_hash: Mapped[str | None] = mapped_column(String(200))
    link_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    link_expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    @property
    def called(self) -> str:
        """The name, or the address where none is known."""
        return self.name or self.address


class Membership(Base):
    """What somebody may do in one newsroom."""

    __tablename__ = "memberships"
    __table_args__ = (UniqueConstraint("staff_id", "newsroom_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    newsroom_id: Mapped[int] = mapped_column(ForeignKey("newsrooms.id"), index=True)
    role: Mapped[Role]

    staff: Mapped[Staff] = relationship()
    newsroom: Mapped[Newsroom] = relationship()


class Login(Base):
    """Somebody logged in with one browser; the row goes when they log out."""

    __tablename__ = "logins"
    __table_args__ = (Index(None, "expires_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    agent: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    staff: Mapped[Staff] = relationship()


class ApiKey(Base):
    """A program's key to one newsroom, by its hash; `hint` is its beginning, to tell keys apart."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    newsroom_id: Mapped[int] = mapped_column(ForeignKey("newsrooms.id"), index=True)
    role: Mapped[Role]
    name: Mapped[str] = mapped_column(String(200))
    hint: Mapped[str] = mapped_column(String(20))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    newsroom: Mapped[Newsroom] = relationship()


class Creation(Base):
    """A release made by an API request with an `Idempotency-Key`, so that the same request makes it once."""

    __tablename__ = "creations"
    __table_args__ = (UniqueConstraint("api_key_id", "idempotency_key"), Index(None, "created_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    api_key_id: Mapped[int] = mapped_column(ForeignKey("api_keys.id"))
    idempotency_key: Mapped[str] = mapped_column(String(255))
    fingerprint: Mapped[str] = mapped_column(String(64))
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]


class Audit(Base):
    """Who did what and when: never changed. `actor` is what they were called then."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "newsroom_id", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime]
    newsroom_id: Mapped[int | None] = mapped_column(ForeignKey("newsrooms.id"))
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    actor: Mapped[str] = mapped_column(String(320))
    act: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(300), default="")
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)

    staff: Mapped[Staff | None] = relationship()
