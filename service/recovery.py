"""Settling the claims of those who cannot: workers that died, sleep, or are gone with their machine.

A dead process's journal says what it had handed over: its claims are settled from it at once, by whoever on its machine
comes first. So are the claims of a process that lives but let its lease run out; it may still hear a late reply, which
counts. Where the journal is on another machine, that one's workers are given LOST_AFTER; then as many mails as a claim
could have on their way are in doubt.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from service import database, journal, settings
from service.journal import Found, Heard
from service.ledger import mails_of
from service.models import Claim
from service.outcomes import Entry, record
from service.settlement import close, let_go, touched
from service.smtp import Uncertain

DIED = "the worker died before the relay's answer was heard"


def recover() -> int:
    """Settle whatever can be settled now; return how many claims. Each step is a transaction of its own."""
    paths = journal.all_of(settings.current().journals)
    settled = sum(map(_of_dead, paths))
    with database.reading() as session:
        overdue = session.scalars(_overdue(database.now(session)).limit(1)).first() is not None
    return settled + (sum(map(_of_living, paths)) + _of_lost() if overdue else 0)


def _of_dead(path: Path) -> int:
    with journal.left_behind(path) as found, database.transaction() as session:
        if found is None:
            return 0
        database.one_at_a_time(session, path.name)  # its last claim may still be being committed
        return _settle(session, found.claims, lambda: found, database.now(session))


def _of_living(path: Path) -> int:
    """Settle what a process holds whose lease is over: asleep, or cut off from the database."""
    claims = list(journal.living(path).claims)
    with database.transaction() as session:
        now = database.now(session)
        overdue = session.scalars(_overdue(now).where(Claim.id.in_(claims))).all()
        return _settle(session, overdue, lambda: journal.living(path), now, Claim.lease_until < now)


def _of_lost() -> int:
    """Settle claims that nobody on their machine has settled: it is gone, or its disk."""
    with database.transaction() as session:
        now = database.now(session)
        moment = now - timedelta(seconds=settings.current().lost_after)
        overdue = session.scalars(_overdue(moment)).all()
        return _settle(session, overdue, lambda: Found(whole=False), now, Claim.lease_until < moment)


def _overdue(moment: datetime) -> Select[int]:
    return select(Claim.id).where(Claim.closed.is_(False), Claim.lease_until < moment).order_by(Claim.id)


def _settle(
    session: Session, claims: Iterable[int], read: Callable[[], Found], now: datetime, *still: ColumnElement[bool]
) -> int:
    """Settle those claims that are open and have not come back to life, and return how many.

    The journal is read when they are closed: nothing of theirs is begun any more.
    """
    mine = [claim_id for claim_id in claims if close(session, claim_id, *still)]
    if not mine:  # a long journal is not read for nothing
        return 0
    found = read()
    for claim_id in mine:
        _settle_one(session, claim_id, found, now)
    return len(mine)


def _settle_one(session: Session, claim_id: int, found: Found, now: datetime) -> None:
    """Record what a journal says of a claim, then what is in doubt, and put back the rest."""
    window = session.scalars(select(Claim.window).where(Claim.id == claim_id)).one()
    record(session, claim_id, _entries(session, claim_id, found, window, now), now, due_at=now)
    touched(session, let_go(claim_id))


def _entries(session: Session, claim_id: int, found: Found, window: int, now: datetime) -> list[Entry]:
    heard: Heard = found.claims.get(claim_id, {})
    held = mails_of(session, claim_id, now)
    told: list[Entry] = [(mail, heard[mail.id] or Uncertain(DIED)) for mail in held if mail.id in heard]
    if found.whole:
        return told
    silent = [mail for mail in held if mail.id not in heard]
    return told + [(mail, Uncertain(DIED)) for mail in silent[:window]]
