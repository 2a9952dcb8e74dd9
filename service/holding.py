"""A claim, looked after while its mails are sent: what the database is told and asked meanwhile, beside the sending.

Outcomes are written down in groups. Twice a second pause, cancel and endings are read again, and the lease is
prolonged; and before the mails run out, more are taken hold of.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session

from service import database, ledger, relay, settings, settlement
from service.beside import Beside
from service.elapsed import elapsed
from service.ledger import Batch, Look
from service.outcomes import Entry, Mail, record
from service.smtp import Pace
from service.states import DispatchState

WINDOW = 50
"""Mails that a connection has, or whose outcome is not known to be in the database."""

GROUP = 0.75
"""The share of the window's room at which outcomes are written down; the rest is used meanwhile."""

GROUP_AFTER = 0.25
"""Seconds after which outcomes are written down, however few."""

LOOK_EVERY = 0.5
"""Seconds after which pause, cancel, endings and the claim are read again."""

FRESH = 0.95
"""Seconds for which a look is good: no content is sent later than that."""

MARGIN = 0.1
"""The share of a lease before its end at which nothing new is begun."""

SOON, WORTH = 0.5, 2.0
"""Seconds of work, at the present speed: with less than SOON in hand more is taken hold of, up to WORTH."""

SPARE = 0.1
"""Seconds of work that is better let go of at the end of a round than missing: then connections would be idle."""

LONGEST = 30.0
"""Seconds that a round lasts at most: a journal is begun anew with each claim, and would grow for ever."""


class Turn:
    """A round's time: ledger.TURN, and as long again from each look at which nobody else waited."""

    def __init__(self) -> None:
        self._began = elapsed()
        self.prolong(self._began)

    def prolong(self, moment: float) -> None:
        """Let it last for a turn from this moment on."""
        self.until = min(moment + ledger.TURN.total_seconds(), self._began + LONGEST)

    @property
    def left(self) -> float:
        """Return the seconds that are left."""
        return self.until - elapsed()


class Helpers(NamedTuple):
    """Who does database work beside the sending: the claim's, and a claim's growth, which takes longer."""

    writing: Beside
    growing: Beside


@dataclass(frozen=True)
class Seen:
    """What a look has shown; `offset`: the database's clock when `elapsed` was 0."""

    look: Look
    offset: datetime


@dataclass
class Visit:
    """What to write down, whom to skip, whether to say that the relay is back, and whether to look around.

    `read_at`: a moment before the look, in `elapsed`. Nothing of it changes while it is being paid; what it has `seen`
    is for whoever waits for its end.
    """

    batch: Batch
    dispatch_id: int | None
    moment: datetime
    entries: list[Entry]
    skip: set[int]
    back: bool
    look: bool
    read_at: float = field(default_factory=elapsed)
    seen: Seen | None = None

    def pay(self, session: Session) -> None:
        """Do it, in this order: what was accepted is not skipped, though its reader has left since."""
        claim_id = self.batch.claim_id
        record(session, claim_id, self.entries, self.moment)
        ledger.skip_unwelcome(session, claim_id, self.skip, self.moment)
        if self.back:
            relay.back(session)
        if self.look:
            now = database.now(session)
            offset = now - timedelta(seconds=elapsed())
            self.seen = Seen(ledger.look(session, self.batch, self.dispatch_id, now), offset)


@dataclass
class Growth:
    """A claim's growth by up to `size` mails behind `after`; `mails` is for whoever waits for its end."""

    batch: Batch
    dispatch_id: int | None
    after: int
    size: int
    mails: list[Mail] = field(default_factory=list)

    def take(self, session: Session) -> None:
        """Take hold of them."""
        now = database.now(session)
        self.mails = ledger.more(session, self.batch, self.dispatch_id, self.after, now, self.size)


class Holding:
    """A claim as this process knows it.

    `unwelcome`: mails that may not go any more; `over`: nothing more may be begun; `blind`: nor while the database is
    away. `others`: another dispatch waits for a worker, as far as the look at `looked_at` has shown.
    """

    def __init__(self, batch: Batch, dispatch_id: int | None, helpers: Helpers, read_at: float) -> None:
        """`read_at`: just before the claim, in `elapsed`."""
        self.batch, self.dispatch_id, self.helpers = batch, dispatch_id, helpers
        self.unwelcome: set[int] = set()
        self.over = self.blind = False
        self.others, self.looked_at = True, read_at
        self._entries: list[Entry] = []
        self._visit: Visit | None = None
        self._growth: Growth | None = None
        self._to_skip: set[int] = set()
        self._answered = self._told = False
        self._last = batch.mails[-1].id if _may_grow(batch.mails) else None
        self._offset = batch.claimed_at - timedelta(seconds=elapsed())
        self._begun_looking_at = self._written_at = self._grow_after = read_at
        self._seen(read_at)

    @property
    def fresh(self) -> bool:
        """Tell whether a mail may be begun, as far as the last look has shown."""
        return not self.over and not self.blind and elapsed() <= self._good_until

    @property
    def unwritten(self) -> int:
        """How many mails are settled here, and not known to be in the database: outcomes, and those to be skipped."""
        here = len(self._entries) + len(self._to_skip)
        return here + (len(self._visit.entries) + len(self._visit.skip) if self._visit else 0)

    @property
    def growing(self) -> bool:
        """Tell whether more mails may be on their way here."""
        return self._growth is not None

    def write(self, entry: Entry, *, answered: bool) -> None:
        """Have an outcome written down. `answered`: the relay said it, so that it is there."""
        self._entries.append(entry)
        self._answered = self._answered or answered

    def look_after(self, taken: int, begun: set[int]) -> None:
        """Hear what came of the last visit, and pay another where it is time; of `taken` mails these are `begun`."""
        if self._visit is not None:
            if self.helpers.writing.busy:
                self.over = self.over or self._too_late()
                return
            self._hear_of(self._visit)
        look = elapsed() >= self._begun_looking_at + LOOK_EVERY
        if look or (self._to_skip and not self.blind) or self._worth_writing(taken):
            self._begin_visit(begun, look=look)

    def more(self, left: int, turn: Turn, pace: Pace) -> list[Mail]:
        """Return the mails taken hold of since; see that there are more in time where so many are left.

        Hardly more than can be sent in this round.
        """
        if self._growth is not None:
            return [] if self.helpers.growing.busy else self._grown(self._growth)
        size = pace.worth(min(WORTH, turn.left + SPARE)) - left
        if self._last is None or not self.fresh or elapsed() < self._grow_after:
            return []
        if left >= pace.worth(SOON) or size <= 0:
            return []
        self._growth = Growth(self.batch, self.dispatch_id, self._last, size)
        self.helpers.growing.begin(self._growth.take)
        return []

    def join(self) -> None:
        """Wait for what goes on beside."""
        if self._visit is not None:
            self._hear_of(self._visit)
        if self._growth is not None:
            self._grown(self._growth)

    def end(self, away: str, session: Session, now: datetime) -> None:
        """Write down the rest, and why the relay is `away` if it is; let go of what was not begun."""
        settlement.lock(session, self.batch.claim_id)  # before its mails, as who settles it does
        record(session, self.batch.claim_id, self._entries, now)
        if self._back():
            relay.back(session)
        if away:
            relay.away(session, away, now)
        ledger.close(session, self.batch.claim_id)
        if self.dispatch_id is not None and ledger.state_of(session, self.dispatch_id) is DispatchState.CANCELLED:
            settlement.skip_cancelled(session, now)

    def _worth_writing(self, taken: int) -> bool:
        """Tell whether outcomes are many, so that the rest of the window lasts until they are written; or old."""
        if elapsed() > self._written_at + GROUP_AFTER:
            return bool(self._entries)
        return not self.blind and len(self._entries) > GROUP * (WINDOW - taken)

    def _begin_visit(self, begun: set[int], *, look: bool) -> None:
        moment = self._offset + timedelta(seconds=elapsed())  # by the database's clock, as it was at the last look
        skip = self._to_skip - begun
        visit = Visit(self.batch, self.dispatch_id, moment, self._entries, skip, self._back(), look)
        self._visit, self._entries, self._to_skip = visit, [], set()
        if look:
            self._begun_looking_at = visit.read_at
        self.helpers.writing.begin(visit.pay)

    def _back(self) -> bool:
        """Tell whether the ledger is still to be told that the relay is there."""
        return self._answered and not self._told

    def _hear_of(self, visit: Visit) -> None:
        """Learn what a visit has shown, and wait for it if need be."""
        self.blind = not self.helpers.writing.result()
        self._visit, self._written_at = None, elapsed()
        if self.blind:  # what may have been written all the same can be written again
            self._entries = visit.entries + self._entries
            self._to_skip |= visit.skip
            self.over = self.over or self._too_late()
            return
        self._told = self._told or visit.back
        if visit.seen is not None:
            look, self._offset = visit.seen.look, visit.seen.offset
            self._to_skip |= look.unwelcome - self.unwelcome
            self.unwelcome |= look.unwelcome
            self.over = self.over or not (look.alive and look.sending)
            self.others, self.looked_at = look.others, visit.read_at
            self._seen(visit.read_at)

    def _seen(self, read_at: float) -> None:
        self._good_until = read_at + min(FRESH, settings.current().lease * (1 - MARGIN))

    def _too_late(self) -> bool:
        return elapsed() > self._good_until + settings.current().lease

    def _grown(self, growth: Growth) -> list[Mail]:
        """Return the mails of a growth, and wait for it if need be."""
        done = self.helpers.growing.result()
        self._growth = None
        mails = growth.mails if done else []
        if len(mails) < growth.size:  # that was all for now
            self._grow_after = elapsed() + LOOK_EVERY
        if mails:
            self._last = mails[-1].id if _may_grow(mails) else None
        return mails


def _may_grow(mails: list[Mail]) -> bool:
    """Tell whether others can follow these in the order of sending: nobody's turn comes last."""
    return bool(mails) and not any(mail.dropped for mail in mails)
