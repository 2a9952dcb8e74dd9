"""The relay's row: away since when, its last words, and when it is tried again."""

from datetime import datetime, timedelta

from sqlalchemy import func, literal, or_, select, update
from sqlalchemy.orm import Session

from service.models import Relay

RETRY = timedelta(seconds=5)
"""Between two tries of a relay that is away; with the sweep it is back in use within 10 s of its return."""

ROW = 1


def away(session: Session, words: str, now: datetime) -> None:
    """Note that the relay cannot be used, and since when. (The row is made by the first migration.)"""
    session.execute(
        update(Relay)
        .where(Relay.id == ROW)
        .values(
            unreachable_since=func.coalesce(Relay.unreachable_since, literal(now, Relay.unreachable_since.type)),
            next_try_at=now + RETRY,
            last_words=words,
        )
        .execution_options(synchronize_session=False)
    )


def back(session: Session) -> None:
    """Note that the relay answers again."""
    session.execute(
        update(Relay)
        .where(Relay.id == ROW, Relay.unreachable_since.is_not(None))
        .values(unreachable_since=None, next_try_at=None)
    )


def may_try(session: Session, now: datetime) -> bool:
    """Take the turn to try the relay: always while it answers, else one worker at a time, when its time has come."""
    if session.scalar(select(Relay.id).where(Relay.id == ROW, Relay.unreachable_since.is_not(None))) is None:
        return True
    taken = session.execute(
        update(Relay)
        .where(Relay.id == ROW, or_(Relay.next_try_at.is_(None), Relay.next_try_at <= now))
        .values(next_try_at=now + RETRY)
        .returning(Relay.id)
    )
    return taken.first() is not None


def state(session: Session) -> Relay | None:
    """Return the relay's row while it is away, else None."""
    return session.scalar(select(Relay).where(Relay.id == ROW, Relay.unreachable_since.is_not(None)))


def free_at(session: Session, now: datetime) -> datetime:
    """Return from when on SMTP_MAX_RATE has turns that nobody has taken; locks the row, for `take_turns`."""
    taken = session.scalar(select(Relay.taken_until).where(Relay.id == ROW).with_for_update())
    return max(taken, now) if taken else now


def take_turns(session: Session, begin: datetime, turns: int, rate: float) -> None:
    """Take so many turns, of `rate` a second over all workers, from a moment on."""
    until = begin + timedelta(seconds=turns / rate)
    session.execute(update(Relay).where(Relay.id == ROW).values(taken_until=until))
