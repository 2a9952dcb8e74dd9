"""The mails of one claim on their way: handed to the courier, noted in the journal, written down in groups.

The database is asked for nothing between two mails. So whatever kills this process, its journal tells which mails were
between the final dot and the reply; and whatever takes the machine with it, no more than a WINDOW of them, the first
in the order of sending, can be in doubt.
"""

from collections import deque
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import NamedTuple

import structlog
from sqlalchemy.exc import DBAPIError

from service import database, relay
from service.address import mask
from service.composing import Composer
from service.elapsed import elapsed
from service.holding import GROUP_AFTER, WINDOW, Helpers, Holding, Turn
from service.journal import Journal
from service.ledger import Batch
from service.outcomes import Mail, TakenBack
from service.smtp import Accepted, Answer, Courier, Envelope, NotBegun, Outcome, Pace, Refused, RelayAway, Uncertain
from service.smtp.pace import FEWEST_AT_ONCE

log = structlog.get_logger()

stopping = Event()
"""Set when this process is asked to end: what is between the final dot and the reply is heard, nothing new is begun."""

SHORT = 0.02
"""Seconds between two looks at the time where mails go one by one."""

MEASURED_OVER = 0.25
"""Seconds of sending, at least, that tell how fast it goes."""

UNMADE = Refused(False, 451, "4.3.0 this mail could not be made; the log says why")


@dataclass
class Turns:
    """SMTP_MAX_RATE: one mail each `interval` seconds (0: whenever) from a time on, as `elapsed` tells it."""

    next_at: float = 0.0
    interval: float = 0.0

    def due(self) -> bool:
        """Tell whether it is time for the next."""
        return elapsed() >= self.next_at

    def take(self) -> None:
        """Use it."""
        if self.interval:
            self.next_at = max(self.next_at + self.interval, elapsed() - self.interval)


class Means(NamedTuple):
    """What the claims of a round have in common."""

    turn: Turn
    composer: Composer
    journal: Journal
    pace: Pace
    helpers: Helpers


class Sending:
    """The mails of one claim on their way; the courier's post. `read_at`: just before the claim, in `elapsed`."""

    def __init__(self, batch: Batch, means: Means, read_at: float) -> None:
        self.batch = batch
        self.turn, self.composer, self.journal, self.pace, helpers = means
        self.holding = Holding(batch, self.composer.dispatch_id, helpers, read_at)
        self.turns = Turns()
        self.sent = 0
        self._counted, self._counted_at = 0, read_at
        self._mails = deque(batch.mails)
        self._taken: dict[int, Mail] = {}
        self._begun: set[int] = set()
        self._words = ("", "")
        self._resting = False

    # What the courier asks

    @property
    def waiting(self) -> int:
        """Return how many mails wait for a connection."""
        return len(self._mails) if self._may_take() else 0

    def next(self) -> Envelope | None:
        """Give the next mail, where there is room in the window and it is time for it."""
        while self._mails and self._may_take() and self._its_turn():
            mail = self._mails.popleft()
            if mail.id in self.holding.unwelcome:
                continue
            try:
                envelope = self.composer.envelope(mail)
            except DBAPIError as error:
                if not database.is_away(error):
                    raise
                self._mails.appendleft(mail)
                self.holding.blind = True  # until the next visit
                return None
            self._taken[mail.id] = mail
            if envelope is not None:
                return envelope
            self._conclude(self._taken.pop(mail.id), UNMADE)
        return None

    def may_begin(self, envelope: Envelope) -> bool:
        """Let a mail's content go, and note it first: the claim is ours, the look fresh, its reader still there."""
        number = envelope.number
        if not self._may_go(number):
            return False
        self.journal.begun(self.batch.claim_id, number)
        if not (self._note() and self._may_go(number)):  # a process stopped in between may have slept past its lease
            return False
        self._begun.add(number)
        return True

    def _may_go(self, number: int) -> bool:
        return self.holding.fresh and number not in self.holding.unwelcome

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
                self.holding.write((mail, TakenBack(relay.RETRY, _masked(mail, words))), answered=False)
            case RelayAway(words):
                self._words = (words, _masked(mail, words))
                self._mails.appendleft(mail)
            case _:
                self._conclude(mail, answer, answered=True)

    # What the round does

    def run(self, courier: Courier) -> None:
        """Send until all have their outcome, the round's time is up, or the sending must stop; let go of the rest."""
        courier.serve(self)
        while self._taken or self._has_more():
            courier.turn(SHORT if self.pace.pause or self.turns.interval else GROUP_AFTER)
            self._note()
            self.holding.look_after(len(self._taken), self._begun)
            self._grow()
            if not (self.holding.others or self.pace.slowed):
                self.turn.prolong(self.holding.looked_at)
            self._resting = self._resting or self.turn.left < 0 or bool(courier.away)
            if stopping.is_set():
                self.holding.over = True
            if self.holding.over:
                courier.drain()
        self._measure()
        self.holding.join()
        database.insist(partial(self.holding.end, self._nameless(courier.away)))
        self.journal.forget()

    def _has_more(self) -> bool:
        return not (self._resting or self.holding.over) and bool(self._mails or self.holding.growing)

    def _may_take(self) -> bool:
        if self._resting or not self.holding.fresh:
            return False
        return len(self._taken) + self.holding.unwritten < WINDOW

    def _its_turn(self) -> bool:
        """Take the turn to begin a mail, where the rate or the pace leaves one only now and then."""
        if self.turns.interval and not self.turns.due():
            return False
        if not self.pace.may_take():
            return False
        self.turns.take()
        return True

    def _grow(self) -> None:
        """Take hold of more before the mails run out, unless the rate shares them out."""
        if self.turns.interval or self._resting:
            return
        self._mails.extend(self.holding.more(len(self._mails), self.turn, self.pace))
        if self.sent >= self._counted + FEWEST_AT_ONCE and elapsed() > self._counted_at + MEASURED_OVER:
            self._measure()

    def _measure(self) -> None:
        """Let the pace learn how fast it goes."""
        now = elapsed()
        self.pace.measured(self.sent - self._counted, now - self._counted_at)
        self._counted, self._counted_at = self.sent, now

    def _conclude(self, mail: Mail, outcome: Outcome, *, answered: bool = False) -> None:
        outcome = _nameless(mail, outcome)
        self.sent += 1
        self.holding.write((mail, outcome), answered=answered)
        self.journal.heard(self.batch.claim_id, mail.id, outcome)

    def _note(self) -> bool:
        """Write the journal; False where that fails: then nothing more is begun."""
        try:
            self.journal.write()
        except OSError as error:
            log.error("the journal cannot be written; sending stops", error=error.strerror)
            self.holding.over = True
        return not self.holding.over

    def _nameless(self, away: str) -> str:
        """Return why the relay is away in words that name nobody."""
        return self._words[1] if away == self._words[0] else mask(away, "")


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
