"""The cases: what is run in which order, and what was found."""

from dataclasses import dataclass, field
from datetime import datetime
from time import time

from service.cli.bench.installation import Installation
from service.cli.bench.lap import Lap
from service.cli.bench.mailing import Measured
from service.cli.bench.plan import Case, Database
from service.cli.bench.process import Broken
from service.cli.bench.workshop import Laps, Workshop

ONCE_ABOVE = 100_000
"""Followers above which growth is measured once, not in every run: that takes minutes."""
FOLLOWING = 0.1
"""Seconds from one request to follow to the next."""


@dataclass(frozen=True)
class Run:
    """A mailing, and the senders without books right before and after it."""

    measured: Measured
    before: Laps
    after: Laps


@dataclass(frozen=True)
class Delayed:
    """A mailing to a sink that waits before it answers, and the courier alone right before and after it."""

    measured: Measured
    before: Lap
    after: Lap


@dataclass(frozen=True)
class Waited:
    """Seconds until a confirmation was at the sink: from the answer to the visitor, and from its row in the ledger."""

    from_answer: float
    from_entry: float


@dataclass
class Findings:
    """What the cases found; empty where one was not asked for."""

    path: dict[Database, list[Run]] = field(default_factory=dict)
    laps: list[Laps] = field(default_factory=list)
    delayed: list[Delayed] = field(default_factory=list)
    growth: list[Measured] = field(default_factory=list)
    waited: list[Waited] = field(default_factory=list)


def run(shop: Workshop) -> Findings:
    """Run all cases that are asked for; raise Broken where mail is lost or books do not balance."""
    found = Findings()
    steps = {Case.PATH: _path, Case.DELAY: _delay, Case.GROWTH: _growth, Case.CONFIRMATIONS: _confirmations}
    for case, step in steps.items():
        if case in shop.plan.cases:
            step(shop, found)
    return found


def _path(shop: Workshop, found: Findings) -> None:
    """Take senders without books and mailings in turn, so that each has the others right beside it."""
    shop.say("senders without books")
    found.laps.append(shop.baselines())
    for number in range(shop.plan.runs):
        for database in shop.servers:
            shop.say(f"run {number + 1} of {shop.plan.runs}: {shop.plan.recipients:,} mails on {database.value}")
            measured = shop.mailing(database, shop.plan.recipients)
            shop.say(f"{measured.rate:,.0f} mails/s; senders without books")
            found.laps.append(shop.baselines())
            found.path.setdefault(database, []).append(Run(measured, *found.laps[-2:]))


def _delay(shop: Workshop, found: Findings) -> None:
    plan = shop.plan
    with shop.built_in(plan.delay_ms) as sink:
        laps = [shop.courier(sink, plan.delayed, plan.delay_connections)]
        for number in range(plan.runs):
            shop.say(
                f"run {number + 1} of {plan.runs}: {plan.delayed:,} mails, each answered after {plan.delay_ms:g} ms"
            )
            measured = shop.mailing(shop.best, plan.delayed, sink, plan.delay_connections)
            laps.append(shop.courier(sink, plan.delayed, plan.delay_connections))
            found.delayed.append(Delayed(measured, *laps[-2:]))


def _growth(shop: Workshop, found: Findings) -> None:
    for number in range(shop.plan.runs):
        for size in shop.plan.sizes:
            if size <= ONCE_ABOVE or number == 0:
                shop.say(f"growth: {size:,} mails")
                found.growth.append(shop.mailing(shop.best, size))


def _confirmations(shop: Workshop, found: Findings) -> None:
    shop.say(f"confirmations while {shop.plan.recipients:,} mails go out")
    visitors = Visitors()
    with shop.built_in() as sink:
        shop.mailing(shop.best, shop.plan.recipients, sink, meanwhile=visitors)
        taken = sink.taken()
    moments = {mail.recipient: mail.moment for mail in taken}
    if len(moments) < len(taken):
        raise Broken(f"{len(taken) - len(moments):,} mails are at the sink twice")
    found.waited += visitors.waited(moments)


class Visitors:
    """They ask to follow, one after the other, each with an address of their own."""

    every = FOLLOWING

    def __init__(self) -> None:
        self.answered: dict[str, float] = {}
        self.entered: dict[str, datetime] = {}

    def begin(self, site: Installation) -> int:
        """Send the follow box once."""
        address = f"visitor.{len(self.answered)}@example.org"
        site.follow(address)
        self.answered[address] = time()
        return 1

    def end(self, site: Installation) -> None:
        """Read when each was entered."""
        self.entered = site.entered()

    def waited(self, moments: dict[str, float]) -> list[Waited]:
        """Return how long each had to wait, by when the sink had whose mail; raise Broken where one did not come."""
        if lost := self.answered.keys() - moments.keys():
            raise Broken(f"{len(lost)} confirmations did not come")
        return [
            Waited(max(0.0, moments[one] - answered), moments[one] - self.entered[one].timestamp())
            for one, answered in self.answered.items()
        ]
