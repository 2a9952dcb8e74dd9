"""A storm: the parts of an installation are killed at random moments of a dispatch, and what may come of it."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from tests.conftest import Backend, opened
from tests.forking import Forked
from tests.servers import Postgres, Sink
from tests.stack import Stack
from tests.wire import connections
from tests.workers.mailing import Mailing

WORKERS = ("worker", "worker.2")
PROCESSES = (*WORKERS, "confirmations", "beat")
FOLLOWERS = int(os.environ.get("UTSKICK_TEST_STORM", "20000"))
"""Mails of a big storm: fewer show that the test works, and prove less."""

GIVEN = os.environ.get("UTSKICK_TEST_SEED", "")


def seeds(*usual: int) -> list[int]:
    """Return the usual seeds, or the one that UTSKICK_TEST_SEED gives (`random`: a new one, which the output shows)."""
    if GIVEN == "random":
        return [random.SystemRandom().randrange(1_000_000)]
    return [int(GIVEN)] if GIVEN else list(usual)


def named(seed: int) -> str:
    """Return a seed as it stands in a test's name."""
    return f"seed-{seed}"


class Storm:
    """Kills the parts of a stack in the middle of a mailing, by a seed."""

    def __init__(self, mailing: Mailing, seed: int, postgres: Postgres | None = None) -> None:
        self.mailing = mailing
        self.stack: Stack = mailing.stack
        self.chance = random.Random(seed)
        self.postgres = postgres
        self.counted: Counter[str] = Counter()
        self.wasted = 0
        self.bound = 0
        """Connections that were open at each kill of a worker or of the sink: the doubles that may be."""
        self.began = time.monotonic()
        self.kinds: list[Callable[[], None]] = [self.worker, self.worker, self.beat, self.broker, self.flush, self.sink]
        self.kinds += [self.database] if postgres else []

    def rage(self, kills: int) -> None:
        """Kill so many times, a share of the mails or a moment apart, until the dispatch is over."""
        each = self.chance.sample(self.kinds, len(self.kinds))  # all of them at least once
        for step in range(kills):
            self._calm(step / kills)
            self.chance.choice(self.kinds if step >= len(each) else [each[step]])()

    def _calm(self, share: float) -> None:
        """Let a share of the dispatch go out, or now and then no more than a moment pass."""
        if self.chance.random() < 0.25:
            until = time.monotonic() + self.chance.uniform(0, 1)
            self.stack.wait(lambda: time.monotonic() > until)
            return
        mails = len(self.mailing.followers) * (0.02 + 0.9 * (share + self.chance.uniform(0, 0.03)))
        reached = f"{mails:.0f} of the mails are out, after {self}"
        self.stack.wait(lambda: self.stack.sink.count() >= mails, 120, reached)

    def worker(self) -> None:
        """Kill a worker, and start it again."""
        name = self.chance.choice(WORKERS)
        self._stop(self.stack.processes[name], "worker")
        self.stack.kill9(name)
        self.stack.start(name)

    def beat(self) -> None:
        """Kill beat, and start it again."""
        self._note("beat")
        self.stack.kill9("beat")
        self.stack.start("beat")

    def broker(self) -> None:
        """Kill the broker, and start it again."""
        self._note("broker")
        self.stack.broker.kill()
        self.stack.broker.start()

    def flush(self) -> None:
        """Throw away all that the broker has."""
        self._note("flush")
        self.stack.broker.flush()

    def sink(self) -> None:
        """Kill the relay, and start it again."""
        self._stop(self.stack.sink.process, "sink")
        self.stack.sink.kill()
        self.stack.sink.start()

    def database(self) -> None:
        """Restart PostgreSQL without a word of farewell."""
        assert self.postgres is not None
        self._note("postgresql")
        self.postgres.crash()
        self.postgres.start()

    def _stop(self, victim: Popen[bytes] | Forked, what: str) -> None:
        """Stop a process that has connections to the relay, and count those."""
        victim.send_signal(signal.SIGSTOP)
        self._note(what)
        self.bound += connections(victim.pid, self.stack.sink.port)

    def _note(self, what: str) -> None:
        """A kill counts only where the books still show something to be done."""
        if self.mailing.pending():
            self.counted[what] += 1
        else:
            self.wasted += 1

    def __str__(self) -> str:
        kills = ", ".join(f"{what} {number}" for what, number in sorted(self.counted.items()))
        return f"{self.counted.total()} kills ({kills}; {self.wasted} came too late)"

    def told(self) -> str:
        """Return what it did and what came of it."""
        lost = len(set(self.mailing.followers) - {mail.recipient for mail in self.stack.sink.log()})
        uncertain = self.stack.value("SELECT sum(uncertain_events) FROM deliveries")
        allowed = f"of at most {self.bound} by connections and {uncertain} by the books"
        mails = f"{len(self.mailing.followers)} mails in {time.monotonic() - self.began:.0f} s"
        return f"{mails}, {self}, {lost} lost, {self.mailing.duplicates()} twice {allowed}"

    def check(self, *, kills: int) -> None:
        """See that everybody got it, and nobody twice but for what the kills may cost."""
        assert self.counted.total() >= kills, self
        self.mailing.check(duplicates=self.bound)
        uncertain = self.stack.value("SELECT sum(uncertain_events) FROM deliveries")
        assert self.mailing.duplicates() <= uncertain
        assert self.stack.ended() == {}, "nobody has ended unasked"
        assert self.mailing.endings() == [0], "finished once, and then nothing was pending"


def big(folder: Path, backend: Backend, broker: str, seed: int, tell: Callable[[str], None]) -> None:
    """A storm over 20,000 mails: left alone, two workers with four connections each need 65 s for them."""
    _rages(folder, backend, broker, seed, tell, Weather(followers=FOLLOWERS, delay_ms=26, kills=24, counting=20))


def small(folder: Path, backend: Backend, broker: str, seed: int, tell: Callable[[str], None]) -> None:
    """A storm over 4,000 mails, 13 s left alone."""
    _rages(folder, backend, broker, seed, tell, Weather(followers=FOLLOWERS // 5, delay_ms=26, kills=10, counting=8))


@dataclass(frozen=True)
class Weather:
    """How much is mailed, how slowly the relay takes it, how many kills are tried, and how many must count."""

    followers: int
    delay_ms: int
    kills: int
    counting: int


def _rages(folder: Path, backend: Backend, kind: str, seed: int, tell: Callable[[str], None], weather: Weather) -> None:
    broker = opened(kind)
    sink = Sink(keep=False, delay_ms=weather.delay_ms)
    url = backend.fresh()
    with Stack(folder / "stack", url, broker, sink, lost_after=2, smtp_connections=4) as stack:
        mailing = Mailing(stack, weather.followers)
        mailing.watch()
        stack.start(*PROCESSES)
        mailing.publish()
        storm = Storm(mailing, seed, backend.server)
        try:
            storm.rage(weather.kills)
            mailing.finish(240)
        finally:
            tell(storm.told())
        storm.check(kills=weather.counting)
    sink.close()
    broker.close()
    backend.discard(url)
