"""A sender's lap: for whom it sends, and what that took."""

import json
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from service import tokens
from service.cli.bench import press


@dataclass(frozen=True)
class Follower:
    """For whom a mail is, as a script would have read it from its table."""

    address: str
    public_id: str
    leave_token: str


def followers(count: int) -> list[Follower]:
    """Return so many followers."""
    return [Follower(press.follower(number), f"{number:032x}", tokens.new_leave_token()) for number in range(count)]


@dataclass(frozen=True)
class Lap:
    """What so many mails took: seconds by the clock, seconds of CPU in the sending process; octets of one of them."""

    mails: int
    seconds: float
    cpu_seconds: float
    octets: int

    @property
    def rate(self) -> float:
        """Mails a second."""
        return self.mails / self.seconds

    @property
    def cpu(self) -> float:
        """Milliseconds of CPU for each mail."""
        return 1000 * self.cpu_seconds / self.mails

    def __str__(self) -> str:
        return json.dumps(asdict(self))


def timed(mails: int, work: Callable[[], int]) -> Lap:
    """Do the work, which sends so many mails and returns the octets of one, and return what it took."""
    used, began = _cpu(), time.perf_counter()
    octets = work()
    return Lap(mails, time.perf_counter() - began, _cpu() - used, octets)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
