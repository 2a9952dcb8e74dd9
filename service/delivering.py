"""One round of sending: claim, hand over, record, until nothing is due or the time is up."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from threading import Event

from sqlalchemy.orm import Session

from service import database, ledger, relay, settings, settlement
from service.beside import Beside
from service.composing import Composer
from service.elapsed import elapsed
from service.holding import SOON, WINDOW, Helpers, Turn
from service.journal import Journal
from service.ledger import Batch
from service.sending import Means, Sending, Turns, stopping
from service.smtp import Courier, Pace, Relay, relay_of

AT_ONCE = 0.5
"""Seconds of work in a claim where SMTP_MAX_RATE shares it out."""

AHEAD_UP_TO = 12
"""Connections that may each have a second mail waiting: with more of them the window holds one for each."""


@dataclass(frozen=True)
class Round:
    """How many mails got an answer; `again` where more may be due now."""

    sent: int
    again: bool


def deliver(dispatch_id: int | None) -> Round:
    """Send what is due of a dispatch (None: confirmations, notices, tests) for one round."""
    turn = Turn()
    way, speed = _way(), pace()
    sent = 0
    with (
        _journal() as journal,
        Courier(way, speed, ahead=speed.most <= AHEAD_UP_TO) as courier,
        database.Standing() as standing,
        Beside(standing.tried, courier.wake) as writing,
        Beside(database.tried, courier.wake) as growing,
    ):
        means = Means(turn, Composer(dispatch_id), journal, speed, Helpers(writing, growing))
        while not stopping.is_set() and not courier.away:
            if turn.left < 0:
                return Round(sent, again=True)
            began = elapsed()
            size = speed.worth(min(SOON, turn.left))
            got = database.insist(partial(_claim, dispatch_id, journal, size))
            if got is None:
                break
            if got.batch is None:
                _rest(min(got.wait, turn.left))
                continue
            sending = Sending(got.batch, means, began)
            sending.turns = Turns(began + got.wait, got.interval)
            sending.run(courier)
            sent += sending.sent
    return Round(sent, again=False)


@dataclass(frozen=True)
class Got:
    """A claim, or none yet; seconds until its first mail's turn, and between two, where SMTP_MAX_RATE is set."""

    batch: Batch | None
    wait: float = 0.0
    interval: float = 0.0


def _claim(dispatch_id: int | None, journal: Journal, size: int, session: Session, now: datetime) -> Got | None:
    """Claim so many mails, fewer where the rate is limited; None where nothing is due or the relay is away."""
    database.one_at_a_time(session, journal.path.name)  # an attempt before this one may still be being committed
    for unheard in journal.claims:  # committed perhaps, though the database did not say so; nothing of it was begun
        ledger.close(session, unheard)
    rate = settings.current().smtp_max_rate
    begin = relay.free_at(session, now) if rate else now
    wait = (begin - now).total_seconds() if dispatch_id is not None else 0.0  # a confirmation waits for nobody
    if wait > AT_ONCE:
        return Got(None, wait)
    size = min(size, max(1, int(rate * AT_ONCE))) if rate else size
    worker = f"{socket.gethostname()}:{os.getpid()}"
    batch = ledger.claim(session, dispatch_id, worker, now, size, WINDOW)
    if batch is None:
        if dispatch_id is not None:
            settlement.finish(session, dispatch_id, now)
        return None
    if not relay.may_try(session, now):
        ledger.close(session, batch.claim_id)
        return None
    journal.claimed(batch.claim_id)  # before the commit: a claim that nobody knows of would wait for its lease
    if rate:
        relay.take_turns(session, begin, len(batch.mails), rate)
    return Got(batch, wait, 1 / rate if rate else 0.0)


def _rest(seconds: float) -> None:
    until = elapsed() + seconds
    while not stopping.is_set() and elapsed() < until:
        Event().wait(min(0.1, max(0.0, until - elapsed())))


def _way() -> Relay:
    config = settings.current()
    return relay_of(config.relay, timeout=config.smtp_timeout, helo=config.domain)


def pace() -> Pace:
    """Return what this process has learned of the relay."""
    return _pace_of(_way(), settings.current().smtp_connections)


@lru_cache
def _pace_of(way: Relay, connections: int) -> Pace:  # noqa: ARG001 - one for each relay
    return Pace(connections)


def forget() -> None:
    """Forget what this process has learned, and let go of its journal."""
    _pace_of.cache_clear()
    if _Kept.journal is not None:
        _Kept.journal.close(done=True)
        _Kept.journal = None


class _Kept:
    """The process's journal, opened with its first round."""

    journal: Journal | None = None


@contextmanager
def _journal() -> Iterator[Journal]:
    """Give this process's journal; after an error it is left for whoever settles a dead process's."""
    _Kept.journal = _Kept.journal or Journal(settings.current().journals)
    try:
        yield _Kept.journal
    except BaseException:
        _Kept.journal.close(done=False)
        _Kept.journal = None
        raise
