"""Programs' keys to one newsroom: made once, kept as a hash, revocable."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session, joinedload

from service import tokens
from service.models import ApiKey, Newsroom
from service.states import Role

PREFIX = "utskick_"
"""So that whoever finds a key knows what it opens."""

HINT = len(PREFIX) + 6
"""Characters of a key that are kept, to tell keys apart."""


def make(session: Session, newsroom: Newsroom, role: Role, name: str, now: datetime) -> tuple[ApiKey, str]:
    """Make a key; its text is told this once and kept as a hash."""
    secret = PREFIX + tokens.new_secret()
    key = ApiKey(
        newsroom_id=newsroom.id,
        role=role,
        name=name,
        hint=secret[:HINT],
        key_hash=tokens.digest(secret),
        created_at=now,
    )
    session.add(key)
    session.flush()
    return key, secret


def find(session: Session, secret: str) -> ApiKey | None:
    """Return the key, with its newsroom, unless it is unknown or revoked."""
    if not secret.startswith(PREFIX):
        return None
    wanted = select(ApiKey).where(ApiKey.key_hash == tokens.digest(secret), ApiKey.revoked_at.is_(None))
    return session.scalar(wanted.options(joinedload(ApiKey.newsroom)))


def revoke(session: Session, key_id: int, now: datetime) -> bool:
    """Close a key for good; False where there is none or it was closed."""
    open_still = update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
    return session.scalar(open_still.values(revoked_at=now).returning(ApiKey.id)) is not None


def every(session: Session, newsroom_id: int | None = None) -> list[ApiKey]:
    """Return the keys of a newsroom (None: all), with their newsrooms, oldest first."""
    wanted = select(ApiKey).options(joinedload(ApiKey.newsroom)).order_by(ApiKey.id)
    return list(session.scalars(wanted if newsroom_id is None else wanted.where(ApiKey.newsroom_id == newsroom_id)))
