"""The task that finds what has no bell: due mail, dead claims, scheduled releases. Any number may run."""

from time import monotonic

import structlog
from sqlalchemy.exc import DBAPIError

from service import books, broker, database, folding, keys, recovery, releases, settlement, staff, subscriptions
from service.bells import ring_if_lost
from service.states import DispatchState
from workers.app import app
from workers.quiet import quietly

log = structlog.get_logger()

SKIPPING = 2.0
"""Seconds in which a sweep skips what waits of stopped mailings; the next one goes on."""


@app.task(name=broker.SWEEP_ROUND)  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Publish, settle, finish and forget what is due, ring for what waits, and fold a little of what is old."""
    with quietly(broker.SWEEP_ROUND):
        _publish()
        _settle()
        _ring()
        _fold()


def _publish() -> None:
    with database.reading() as session:
        due = releases.scheduled(session, database.now(session))
    for number in due:
        try:
            with database.transaction() as session:
                releases.publish_due(session, number, database.now(session))
        except DBAPIError:
            raise
        except Exception as error:  # one release that cannot be published must not hold up the others
            log.error("a scheduled release could not be published", release=number, exc_info=error)


def _settle() -> None:
    recovery.recover()
    _skip_cancelled()
    with database.transaction() as session:
        now = database.now(session)
        for dispatch_id in books.dispatches_in(session, DispatchState.SENDING):
            settlement.finish(session, dispatch_id, now)
        for part in (subscriptions, staff, keys):
            part.expire(session, now)


def _skip_cancelled() -> None:
    until = monotonic() + SKIPPING
    done = False
    while not done and monotonic() < until:
        with database.transaction() as session:
            done = settlement.skip_cancelled(session, database.now(session))


def _ring() -> None:
    with database.reading() as session:
        now = database.now(session)
        expanding = books.dispatches_in(session, DispatchState.EXPANDING)
        sending = books.due_dispatches(session, now)
        confirmations = books.due_confirmations(session, now)
    for dispatch_id in (*expanding, *sending):
        ring_if_lost(dispatch_id)
    if confirmations:
        broker.ring(broker.CONFIRM)


def _fold() -> None:
    for part in (folding.fold, folding.forget_mails, folding.forget_claims):
        with database.transaction() as session:
            part(session, database.now(session))
