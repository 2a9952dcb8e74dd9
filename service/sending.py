"""The mails of one claim on their way: handed to the courier, noted in the journal, written down in groups.

The database is asked for nothing between two mails. So whatever kills this process, its journal tells which mails were
between the final dot and the reply; and whatever takes the machine with it, no more than a WINDOW of them, the first
in the order of sending, can be in doubt.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from threading import Event
from time import monotonic
from typing import NamedTuple

import structlog
from sqlalchemy.orm import Session

from service import database, ledger, relay, settings, settlement
from service.address import mask
from service.composing import Composer
from service.journal import Journal
from service.ledger import Batch
from service.outcomes import Entry, Mail, TakenBack, record
from service.smtp import Accepted, Answer, Courier, Envelope, NotBegun, Outcome, Pace, Refused, RelayAway, Uncertain
from service.states import DispatchState

log = structlog.get_logger()

stopping = Event()
"""Set when this process is asked to end: what is between the final dot and the reply is heard, nothing new is begun."""

WINDOW = 50
"""Mails that a connection has, or whose outcome is not written down yet."""

SHORT = 0.02
"""Seconds between two looks at the time where mails go one by one."""

GROUP_AFTER = 0.25
"""Seconds after which outcomes are written down, however few."""

LOOK_EVERY = 0.5
"""Seconds after which pause, cancel, endings and the claim are read again."""

FRESH = 0.95
"""Seconds for which a look is good: no content is sent later than that."""

MARGIN = 0.1
"""The share of a lease before its end at which nothing new is begun."""

UNMADE = Refused(False, 451, "4.3.0 this mail could not be made; the log says why")


@dataclass
class Turns:
    """SMTP_MAX_RATE: one mail each `interval` seconds (0: whenever) from a monotonic time on."""

    next_at: float = 0.0
    interval: float = 0.0

    def due(self) -> bool:
        """Tell whether it is time for the next."""
        return monotonic() >= self.next_at

    def take(self) -> None:
        """Use it."""
        if self.interval:
            self.next_at = max(self.next_at + self.interval, monotonic() - self.interval)


class Means(NamedTuple):
    """What the claims of a round have in common."""

    composer: Composer
    journal: Journal
    pace: Pace
    standing: database.Standing


class Sending:
    """The mails of one claim on their way; the courier's post. `read_at`: monotonic time just before the claim."""

    def __init__(self, batch: Batch, means: Means, read_at: float) -> None:
        self.batch = batch
        self.composer, self.journal, self.pace, self.standing = means
        self.turns = Turns()
        self.sent = 0
        self._mails = deque(batch.mails)
        self._taken: dict[int, Mail] = {}
        self._begun: set[int] = set()
        self._unwelcome: set[int] = set()
        self._entries: list[Entry] = []
        self._answered = self._told = False
        self._words = ("", "")
        self._resting = self._halted = self._blind = False
        self._offset = batch.claimed_at - timedelta(seconds=monotonic())
        self._good_until = self._looked_at = self._written_at = read_at
        self._seen(read_at)

    # What the courier asks

    @property
    def waiting(self) -> int:
        """Return how many mails wait for a connection."""
        return len(self._mails) if self._may_take() else 0

    def next(self) -> Envelope | None:
        """Give the next mail, where there is room in the window and it is time for it."""
        while self._mails and self._may_take() and self._its_turn():
            mail = self._mails.popleft()
            if mail.id in self._unwelcome:
                continue
            self._taken[mail.id] = mail
            envelope = self.composer.envelope(mail)
            if envelope is not None:
                return envelope
            self._conclude(self._taken.pop(mail.id), UNMADE)
        return None

    def may_begin(self, envelope: Envelope) -> bool:
        """Let a mail's content go, and note it first: the claim is ours, the look fresh, its reader still there."""
        number = envelope.number
        if self._halted or self._blind or number in self._unwelcome or monotonic() > self._good_until:
            return False
        self.journal.begun(self.batch.claim_id, number)
        if not self._note():
            return False
        self._begun.add(number)
        return True

    def answered(self, envelope: Envelope, answer: Answer) -> None:
        """Hear what became of a mail."""
        mail = self._taken.pop(envelope.number)
        self._begun.discard(mail.id)
        self.pace.heard(answer)
        match answer:
            case NotBegun():  # the first again, so that the order of sending holds
                self._mails.appendleft(mail)
            case RelayAway(words, on_wire=True) if mail.dropped:  # twice at the same recipient: it may be theirs
                self._conclude(mail, Refused(False, 421, words))
            case RelayAway(words, on_wire=True):
                self._entries.append((mail, TakenBack(relay.RETRY, _masked(mail, words))))
            case RelayAway(words):
                self._words = (words, _masked(mail, words))
                self._mails.appendleft(mail)
            case _:
                self._answered = True
                self._conclude(mail, answer)

    # What the round does

    def run(self, courier: Courier, until: float) -> None:
        """Send until all have their outcome, the monotonic time is up, or the sending must stop; let go of the rest."""
        courier.serve(self)
        while self._taken or (self._mails and not (self._resting or self._halted)):
            courier.turn(SHORT if self.pace.pause or self.turns.interval else GROUP_AFTER)
            self._note()
            self._write_if_due()
            self._look_if_due()
            self._resting = self._resting or monotonic() > until or bool(courier.away)
            self._halted = self._halted or stopping.is_set()
            if self._halted:
                courier.drain()
        database.insist(partial(self._end, courier.away))
        self.journal.forget()

    def _may_take(self) -> bool:
        if self._resting or self._halted or self._blind:
            return False
        return len(self._taken) + len(self._entries) < WINDOW

    def _its_turn(self) -> bool:
        """Take the turn to begin a mail, where the rate or the pace leaves one only now and then."""
        if self.turns.interval and not self.turns.due():
            return False
        if not self.pace.may_take():
            return False
        self.turns.take()
        return True

    def _conclude(self, mail: Mail, outcome: Outcome) -> None:
        outcome = _nameless(mail, outcome)
        self.sent += 1
        self._entries.append((mail, outcome))
        self.journal.heard(self.batch.claim_id, mail.id, outcome)

    def _note(self) -> bool:
        """Write the journal; False where that fails: then nothing more is begun."""
        try:
            self.journal.write()
        except OSError as error:
            log.error("the journal cannot be written; sending stops", error=error.strerror)
            self._halted = True
        return not self._halted

    def _write_if_due(self) -> None:
        """Write outcomes down once they are many or old. While the database is away nothing new is begun."""
        full = len(self._taken) + len(self._entries) >= WINDOW
        if not self._entries or not (full or monotonic() > self._written_at + GROUP_AFTER):
            return
        self._blind = not self.standing.tried(self._write)
        self._written()

    def _write(self, session: Session) -> None:
        record(session, self.batch.claim_id, self._entries, self._now())
        if self._answered and not self._told:
            relay.back(session)

    def _written(self) -> None:
        self._written_at = monotonic()
        if not self._blind:
            self._entries, self._told = [], self._answered

    def _look_if_due(self) -> None:
        if monotonic() < self._looked_at + LOOK_EVERY:
            return
        self._looked_at = read_at = monotonic()
        self._blind = not self.standing.tried(self._look)
        self._written()
        if not self._blind:
            self._seen(read_at)
        elif read_at > self._good_until + settings.current().lease:
            self._halted = True

    def _look(self, session: Session) -> None:
        self._write(session)  # what was accepted is not skipped, though its reader has left since
        now = database.now(session)
        self._offset = now - timedelta(seconds=monotonic())
        found = ledger.look(session, self.batch, self.composer.dispatch_id, now)
        self._unwelcome |= found.unwelcome
        ledger.skip_unwelcome(session, self.batch.claim_id, found.unwelcome - self._begun, now)
        self._halted = self._halted or not (found.alive and found.sending)

    def _end(self, away: str, session: Session, now: datetime) -> None:
        self._write(session)
        if away:
            relay.away(session, self._words[1] if away == self._words[0] else mask(away, ""), now)
        ledger.close(session, self.batch.claim_id)
        dispatch_id = self.composer.dispatch_id
        if dispatch_id is not None and ledger.state_of(session, dispatch_id) is DispatchState.CANCELLED:
            settlement.skip_cancelled(session, now)

    def _now(self) -> datetime:
        """Return the moment by the database's clock, as it was at the last look, without asking for it."""
        return self._offset + timedelta(seconds=monotonic())

    def _seen(self, read_at: float) -> None:
        self._good_until = read_at + min(FRESH, settings.current().lease * (1 - MARGIN))


def _masked(mail: Mail, words: str) -> str:
    return mask(words, mail.address or "")


def _nameless(mail: Mail, outcome: Outcome) -> Outcome:
    """Return an outcome whose words name nobody."""
    words = _masked(mail, outcome.words)
    if words == outcome.words:
        return outcome
    match outcome:
        case Accepted(code):
            return Accepted(code, words)
        case Refused(permanent, code):
            return Refused(permanent, code, words)
        case Uncertain():
            return Uncertain(words)
