"""Newsrooms and their releases."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.columns import Base
from service.states import Kind, ReleaseState


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
    follow_text: Mapped[str] = mapped_column(String(500), default="")
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
    """One press release, known by newsroom and slug. `revision` counts the changes of a draft."""

    __tablename__ = "releases"
    __table_args__ = (
        UniqueConstraint("newsroom_id", "slug"),
        Index(None, "newsroom_id", "state", "published_at"),
        {"sqlite_autoincrement": True},  # a form that is still open must not meet another draft under its number
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
    revision: Mapped[int] = mapped_column(default=1)
    updated_at: Mapped[datetime]

    newsroom: Mapped[Newsroom] = relationship()


class Version(Base):
    """The text of a release; its number is the release's version. Publishing freezes it: only a draft's changes."""

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
