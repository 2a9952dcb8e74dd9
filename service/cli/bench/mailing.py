"""One mailing, from its publishing to finished books, and what its processes used for it."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from time import monotonic
from typing import Protocol

from service.cli.bench import press, usage
from service.cli.bench.installation import Installation
from service.cli.bench.process import Broken, wait
from service.cli.bench.relays import Relay
from service.states import DispatchState

WARM = 60.0
"""Seconds that fresh processes have for their first mail."""
STALL = 180.0
"""Seconds without a mail after which a mailing counts as stuck; entering a million followers takes a while."""
LATE = 30.0
"""Seconds that the sink's own count may be behind."""


@dataclass(frozen=True)
class Measured:
    """What a mailing took; `cpu` is in ms for each mail, a peak in bytes."""

    recipients: int
    seconds: float
    worker_cpu: float
    database_cpu: float | None
    worker_peak: int
    confirmations_peak: int

    @property
    def rate(self) -> float:
        """Mails a second, from publishing to finished books."""
        return self.recipients / self.seconds


class Meanwhile(Protocol):
    """What goes on beside a mailing."""

    every: float
    """Seconds from one beginning to the next."""

    def begin(self, site: Installation) -> int:
        """Do something and return how many mails it brings about."""

    def end(self, site: Installation) -> None:
        """See how it went, while the installation is still there."""


class Nothing:
    """Only a look now and then, which the database hardly feels."""

    every = 0.25

    def begin(self, site: Installation) -> int:  # noqa: ARG002
        """Do nothing."""
        return 0

    def end(self, site: Installation) -> None:
        """Do nothing."""


def measure(
    site: Installation,
    relay: Relay,
    recipients: int,
    database_cpu: Callable[[], float | None],
    meanwhile: Meanwhile,
) -> Measured:
    """Mail the release to so many followers on a running installation; raise Broken where anything is amiss."""
    _warm(site, relay)
    taken = relay.count()
    worker = site.processes["worker"].pid
    before = usage.cpu(worker), database_cpu() or 0.0
    dispatch = site.publish(press.RELEASE)
    caused = _finish(site, relay, dispatch, meanwhile)
    after = usage.cpu(worker), database_cpu()
    _check(site, relay, dispatch, recipients, taken + recipients + caused)
    meanwhile.end(site)
    mailed = site.mailed(dispatch)
    assert mailed.ended is not None  # noqa: S101 - it is finished
    return Measured(
        recipients=recipients,
        seconds=(mailed.ended - mailed.began).total_seconds(),
        worker_cpu=1000 * (after[0] - before[0]) / recipients,
        database_cpu=None if after[1] is None else 1000 * (after[1] - before[1]) / recipients,
        worker_peak=usage.peak(worker),
        confirmations_peak=usage.peak(site.processes["confirmations"].pid),
    )


def _warm(site: Installation, relay: Relay) -> None:
    """Mail something to one follower, so that every process has done everything once."""
    before = relay.count()
    path = site.folder / "warm.md"
    path.write_text(press.WARM_RELEASE, encoding="utf-8")
    dispatch = site.publish(path)
    wait(lambda: _finished(site, dispatch) and relay.count() > before, WARM, "the first mail of fresh processes")


def _finished(site: Installation, dispatch: int) -> bool:
    site.check()
    return site.mailed(dispatch).state == DispatchState.FINISHED


def _finish(site: Installation, relay: Relay, dispatch: int, meanwhile: Meanwhile) -> int:
    """Wait until the books are closed; return how many other mails were brought about meanwhile."""
    caused = meanwhile.begin(site)
    seen, moved = relay.count(), monotonic()
    while not _finished(site, dispatch):
        Event().wait(meanwhile.every)
        caused += meanwhile.begin(site)
        if (now_seen := relay.count()) != seen:
            seen, moved = now_seen, monotonic()
        if monotonic() - moved > STALL:
            raise Broken(f"no mail for {STALL:.0f} s\n{site.processes['worker'].tail()}")
    return caused


def _check(site: Installation, relay: Relay, dispatch: int, recipients: int, wanted: int) -> None:
    books = site.books(dispatch)
    if books["recipients"] != recipients or books["accepted"] != recipients or books["pending"]:
        raise Broken(f"the books do not say that {recipients:,} mails were accepted: {books}")
    try:
        wait(lambda: relay.count() >= wanted, LATE, "every mail is at the sink")
    except Broken:
        raise Broken(f"the books are closed, and {wanted - relay.count():,} mails are not at the sink") from None
    if relay.count() > wanted:
        raise Broken(f"{relay.count() - wanted:,} mails are at the sink twice")
