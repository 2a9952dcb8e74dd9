"""One round of sending: claim, join, hand over, record, until nothing is due or the time is up.

For each mail one commit marks it as handed over (and records the one before it) before the relay may
see it. So whatever kills this process, at most the one mail on the wire is in doubt, and its row says so.
"""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from threading import Event
from time import monotonic
from typing import TypeVar

import structlog
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, joinedload

from service import database, ledger, mail, relay, settings, settlement
from service.address import mask
from service.leases import Lease
from service.ledger import TURN, Batch
from service.mail import Compiled
from service.models import Delivery, Message, Release, Subscription, Version
from service.settlement import Mail
from service.smtp import Answer, Courier, Envelope, NotBegun, Outcome, Refused, RelayAway, relay_of
from service.states import DeliveryKind

log = structlog.get_logger()

BATCH = 100
"""Mails in a claim."""

FRESH = 0.5
"""Seconds for which hand_over's answer is good: after that the fence asks again whether the mail may go."""

stopping = Event()
"""Set when this process is asked to end: the mail on the wire is finished, nothing new is begun."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Round:
    """How many mails got an answer; `again` where more is due now."""

    sent: int
    again: bool


def deliver(dispatch_id: int | None) -> Round:
    """Send what is due of a dispatch (None: confirmations, notices, tests) for one round."""
    until = monotonic() + TURN.total_seconds()
    config = settings.current()
    sent = 0
    with Courier(relay_of(config.relay, timeout=config.smtp_timeout, helo=config.domain)) as courier:
        while not stopping.is_set():
            if monotonic() >= until:
                return Round(sent, again=True)
            read_at = monotonic()
            batch = insist(partial(_claim, dispatch_id))
            if batch is None:
                break
            with Lease(batch.claim_id, read_at) as lease:
                through = Sending(courier, batch, lease, dispatch_id).run(until)
            sent += through.sent
            if not through.again:
                break
    return Round(sent, again=False)


def insist(work: Callable[[Session, datetime], Result]) -> Result:
    """Do work in a transaction of its own, again while the database is away, for as long as a lease."""
    until = monotonic() + settings.current().lease
    while True:
        try:
            with database.transaction() as session:
                return work(session, database.now(session))
        except DBAPIError as error:
            if not database.is_away(error) or monotonic() > until:
                raise
            Event().wait(0.2)


def _claim(dispatch_id: int | None, session: Session, now: datetime) -> Batch | None:
    batch = ledger.claim(session, dispatch_id, f"{socket.gethostname()}:{os.getpid()}", now, BATCH)
    if batch is None and dispatch_id is not None:
        settlement.finish(session, dispatch_id, now)
    if batch is not None and not relay.may_try(session, now):
        ledger.close(session, batch.claim_id)
        return None
    return batch


class Sending:
    """The mails of one claim on their way through one courier."""

    def __init__(self, courier: Courier, batch: Batch, lease: Lease, dispatch_id: int | None) -> None:
        self.courier = courier
        self.batch = batch
        self.lease = lease
        self.answered: tuple[Mail, Outcome] | None = None
        self.sent = 0
        self.heard = 0
        self.marked_at = 0.0
        self.messages = _messages(dispatch_id)

    def run(self, until: float) -> Round:
        """Send the claim's mails until the monotonic time is up; let go of the rest."""
        again = True
        try:
            for one in self.batch.mails:
                if stopping.is_set() or monotonic() >= until or not self.lease.alive():
                    break
                envelope = self._envelope(one)
                begun = insist(partial(self._begin, one))
                self.answered = None  # it is written down
                if begun and not self._send(one, envelope):
                    again = False
                    break
        finally:
            insist(self._end)
        return Round(self.sent, again=again)

    def _begin(self, one: Mail, session: Session, now: datetime) -> bool:
        """Record the mail before and mark this one as handed over, in one transaction."""
        self._record(session, now)
        self.marked_at = monotonic()
        return ledger.hand_over(session, self.batch.claim_id, one, now)

    def _end(self, session: Session, now: datetime) -> None:
        self._record(session, now)
        ledger.close(session, self.batch.claim_id)

    def _record(self, session: Session, now: datetime) -> None:
        if self.answered is not None:
            one, outcome = self.answered
            settlement.record(session, self.batch.claim_id, one, outcome, now)
            if self.heard == 1:
                relay.back(session)

    def _send(self, one: Mail, envelope: Envelope | None) -> bool:
        """Hand one mail to the relay and keep its answer; False where the relay is away."""
        answer: Answer = Refused(False, 451, "4.3.0 this mail could not be made; the log says why")
        if envelope is not None:
            answer = self.courier.send(envelope, partial(self._may_begin, one))
        if isinstance(answer, RelayAway) and answer.on_wire and one.dropped:
            answer = Refused(False, 421, answer.words)  # twice with the same recipient: it may be the recipient
        match answer:
            case RelayAway():
                log.warning("relay unreachable", words=mask(answer.words, one.address or ""))
                insist(partial(self._relay_away, one, answer))
                return False
            case NotBegun():
                insist(partial(self._take_back, one))
            case _:
                self.answered = (one, answer)
                self.sent += 1
                self.heard += envelope is not None
        return True

    def _may_begin(self, one: Mail) -> bool:
        """The fence before a message: the lease is ours, and what hand_over asked was asked a moment ago."""
        if monotonic() - self.marked_at < FRESH:
            return self.lease.alive()
        try:
            with database.reading() as session:
                may = ledger.still_may(session, self.batch.claim_id, one, database.now(session))
        except DBAPIError:
            return False
        return may and self.lease.alive()

    def _take_back(self, one: Mail, session: Session, now: datetime) -> None:
        ledger.take_back(session, self.batch.claim_id, one, now)

    def _relay_away(self, one: Mail, answer: RelayAway, session: Session, now: datetime) -> None:
        words = mask(answer.words, one.address or "")
        relay.away(session, words, now)
        if answer.on_wire:  # the others go first next time
            ledger.take_back(session, self.batch.claim_id, one, now + relay.RETRY, dropped=words)
        else:
            ledger.take_back(session, self.batch.claim_id, one, now)

    def _envelope(self, one: Mail) -> Envelope | None:
        """Make the mail; None for one that cannot be made, which must not stop the others."""
        if one.address is None:
            return None
        try:
            made = self._release_mail(one, one.address) if one.kind is DeliveryKind.RELEASE else _letter(one)
        except DBAPIError:
            raise
        except Exception as error:
            log.error("mail could not be made", delivery=one.id, exc_info=error)
            return None
        return Envelope(made.sender, one.address, made.content)

    def _release_mail(self, one: Mail, address: str) -> Compiled:
        message = self.messages.get(one.language) or next(iter(self.messages.values()))
        content = mail.join(message.content, address=address, public_id=one.public_id, leave_token=one.leave_token)
        return Compiled(message.sender, content)


def _letter(one: Mail) -> Compiled:
    """Render a confirmation, a notice or a test, from ids."""
    if one.kind is DeliveryKind.TEST:
        return _test(one)
    compose = mail.confirmation if one.kind is DeliveryKind.CONFIRMATION else mail.notice
    with database.reading() as session:
        follower = session.get_one(Subscription, one.subscription_id, options=[joinedload(Subscription.newsroom)])
        return compose(follower.newsroom, follower, one.public_id, database.now(session))


def _test(one: Mail) -> Compiled:
    with database.reading() as session:
        version, release = session.execute(
            select(Version, Release)
            .join(Release, Release.id == Version.release_id)
            .join(Delivery, Delivery.version_id == Version.id)
            .where(Delivery.id == one.id)
            .options(joinedload(Release.newsroom))
        ).one()
        now = database.now(session)
        return mail.test_mail(
            release.newsroom, release, version, now, address=one.address or "", public_id=one.public_id
        )


def _messages(dispatch_id: int | None) -> dict[str, Message]:
    if dispatch_id is None:
        return {}
    with database.reading() as session:
        found = session.scalars(select(Message).where(Message.dispatch_id == dispatch_id).order_by(Message.id))
        return {message.language: message for message in found}
