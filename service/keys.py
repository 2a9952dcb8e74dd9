"""Programs' keys to one newsroom, and the requests that they may repeat."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, joinedload

from service import tokens
from service.models import ApiKey, Creation, Newsroom
from service.states import Role

PREFIX = "utskick_"
"""So that whoever finds a key knows what it opens."""

HINT = len(PREFIX) + 6
"""Characters of a key that are kept, to tell keys apart."""

REPEATABLE = timedelta(days=7)
"""How long an `Idempotency-Key` is remembered."""


class OtherRequest(Exception):
    """An `Idempotency-Key` came back with another request."""


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


def created_by(session: Session, key: ApiKey, idempotency_key: str, fingerprint: str) -> int | None:
    """Return the release that the same request made before, or None; raise OtherRequest where it was another."""
    wanted = (Creation.api_key_id == key.id, Creation.idempotency_key == idempotency_key)
    found = session.scalar(select(Creation).where(*wanted))
    if found is not None and found.fingerprint != fingerprint:
        raise OtherRequest
    return found.release_id if found else None


def remember(
    session: Session, key: ApiKey, idempotency_key: str, fingerprint: str, release_id: int, now: datetime
) -> None:
    """Note which release a request made. Hold `database.one_at_a_time` on the key from before `created_by`."""
    session.add(
        Creation(
            api_key_id=key.id,
            idempotency_key=idempotency_key,
            fingerprint=fingerprint,
            release_id=release_id,
            created_at=now,
        )
    )
    session.flush()


def expire(session: Session, now: datetime) -> None:
    """Forget requests that nobody repeats any more."""
    session.execute(delete(Creation).where(Creation.created_at <= now - REPEATABLE))
