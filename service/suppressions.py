"""The do-not-mail list: keyed hashes of addresses, never the addresses."""

from datetime import datetime

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.models import Suppression
from service.states import SuppressionReason


def covers(
    address_hash: InstrumentedAttribute[str | None],
    newsroom_id: InstrumentedAttribute[int],
    now: ColumnElement[datetime],
) -> ColumnElement[bool]:
    """SQL: a suppression in force covers this address in this newsroom."""
    return exists().where(
        Suppression.address_hash == address_hash,
        or_(Suppression.newsroom_id.is_(None), Suppression.newsroom_id == newsroom_id),
        or_(Suppression.expires_at.is_(None), Suppression.expires_at > now),
    )


def forbids_confirmation(session: Session, address_hash: str, newsroom_id: int, now: datetime) -> bool:
    """Tell whether not even a confirmation may go there: after a complaint, or by hand; a bounce lets it through."""
    found = session.scalar(
        select(Suppression.id)
        .where(
            Suppression.address_hash == address_hash,
            or_(Suppression.newsroom_id.is_(None), Suppression.newsroom_id == newsroom_id),
            or_(Suppression.expires_at.is_(None), Suppression.expires_at > now),
            Suppression.reason != SuppressionReason.BOUNCE,
        )
        .limit(1)
    )
    return found is not None
