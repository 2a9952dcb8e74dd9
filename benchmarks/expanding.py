"""Entering a long list of recipients, and who waits for it meanwhile.

The followers are inserted by SQL, the dispatch is expanded by the very loop that a worker runs, on PostgreSQL with
fsync or on SQLite. All the time three others do, one after another, what must not wait: somebody of the very range
that is being entered leaves, somebody confirms, and somebody pauses the mailing and lets it go on.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread, get_ident

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from service import database, expanding, settings, settlement, subscriptions, tokens
from service.expanding import RANGE, Progress
from tests.conftest import Backend, set_environment
from tests.servers import Postgres
from tests.service.press import do, one, publish, room, rows, the_books, write

GOAL, WAIT = 60.0, 1.0
PENDING = 2_000
SOMEBODY = """
    INSERT INTO subscriptions (newsroom_id, address, address_hash, state, language, leave_token, created_at, {when})
    SELECT :room, '{name}' || n || '@example.org', '{name}' || n, '{state}', 'sv',
        substr('{name}' || n || 'aaaaaaaaaaaaaaaaaaaaaa', 1, 22), :at, :at FROM {numbers}
"""
SERIES = "generate_series(1, :count) AS n"
RECURSIVE = "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :count) SELECT n FROM s)"

Act = Callable[[], object]


def fill(followers: int) -> int:
    """Insert confirmed followers and some who have yet to confirm; return the dispatch of a release to them."""
    press = room()
    numbers = RECURSIVE if settings.current().database.startswith("sqlite") else SERIES
    at = {"room": press.id, "at": "2026-03-02 08:00:00"}
    for name, state, when, count in (
        ("follower", "confirmed", "confirmed_at", followers),
        ("asking", "pending", "expires_at", PENDING),
    ):
        write(SOMEBODY.format(name=name, state=state, when=when, numbers=numbers), count=count, **at)
    write("UPDATE subscriptions SET expires_at = '2100-01-01 00:00:00' WHERE state = 'pending'")
    made = publish(press).dispatch
    assert made is not None
    return made.id


class Others:
    """What goes on meanwhile, each a loop in a thread of its own; how long each of them took, in seconds."""

    def __init__(self, dispatch: int, followers: int) -> None:
        self.dispatch, self.followers = dispatch, followers
        self.asking = iter(rows("SELECT id FROM subscriptions WHERE state = 'pending' ORDER BY id"))
        self.took: dict[str, list[float]] = {"leave": [], "confirm": [], "pause": [], "resume": []}
        self.over = Event()

    def leave(self) -> None:
        """Leave, as a follower of the range under way."""
        cursor = one("SELECT expanded_to FROM dispatches WHERE id = :id", id=self.dispatch) or 0
        chosen = min(cursor + random.randint(1, RANGE), self.followers)
        token = one("SELECT leave_token FROM subscriptions WHERE id = :id", id=chosen)
        self._time("leave", lambda: self._now(subscriptions.leave, token))

    def confirm(self) -> None:
        """Confirm, as one who asked."""
        token = tokens.confirm_token(next(self.asking))
        self._time("confirm", lambda: self._now(subscriptions.confirm, token))

    def pause(self) -> None:
        """Pause the mailing, and let it go on."""
        self._time("pause", lambda: do(settlement.pause, self.dispatch))
        self._time("resume", lambda: self._now(settlement.resume, self.dispatch))
        self.over.wait(1)

    def _now(self, work: Callable[..., object], *args: object) -> None:
        with database.transaction() as session:
            work(session, *args, database.now(session))

    def _time(self, name: str, act: Act) -> None:
        began = time.perf_counter()
        act()
        self.took[name].append(time.perf_counter() - began)

    def _again(self, act: Act) -> None:
        while not self.over.wait(0.05):
            act()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Let all of them be busy."""
        threads = [Thread(target=self._again, args=[act]) for act in (self.leave, self.confirm, self.pause)]
        for thread in threads:
            thread.start()
        yield
        self.over.set()
        for thread in threads:
            thread.join()


@contextmanager
def transactions() -> Iterator[list[float]]:
    """Collect the seconds of each transaction of this thread."""
    took: list[float] = []
    begun: dict[int, float] = {}
    mine = get_ident()

    def begin(*_: object) -> None:
        begun[get_ident()] = time.perf_counter()

    def commit(*_: object) -> None:
        if get_ident() == mine:
            took.append(time.perf_counter() - begun[mine])

    event.listen(Session, "after_begin", begin)
    event.listen(Session, "after_commit", commit)
    yield took
    event.remove(Session, "after_begin", begin)
    event.remove(Session, "after_commit", commit)


def measure(dispatch: int) -> float:
    """Expand a dispatch turn by turn; return the seconds."""
    stopping = Event()
    began = time.perf_counter()
    while expanding.expand(dispatch, stopping.is_set) is not Progress.ALL:
        stopping.wait(0.01)  # paused just now
    return time.perf_counter() - began


def run(url: str, folder: Path, followers: int) -> bool:
    """Measure on one database and print; False where a goal is missed."""
    with pytest.MonkeyPatch.context() as patch:
        set_environment(folder, patch, database_url=url)
        settings.current.cache_clear()
        dispatch = fill(followers)
        others = Others(dispatch, followers)
        with others.busy(), transactions() as ranges:
            seconds = measure(dispatch)
        found = the_books(dispatch)
    assert found.recipients == followers, found
    kind = url.partition(":")[0]
    sys.stdout.write(f"{followers:,} followers on {kind}: {seconds:.1f} s, the longest range {max(ranges):.3f} s\n")
    for name, took in others.took.items():
        sys.stdout.write(f"  {name:<8} {len(took):>5} times   the longest {max(took, default=0):.3f} s\n")
    return seconds < GOAL and max(max(took, default=0) for took in others.took.values()) < WAIT


def main() -> None:
    """Measure and print; exit 1 where a goal is missed."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--followers", type=int, default=1_000_000)
    asked.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    given = asked.parse_args()
    server = Postgres(fsync=True) if given.database == "postgresql" else None
    try:
        with tempfile.TemporaryDirectory() as folder:
            reached = run(Backend(Path(folder), server).fresh(), Path(folder) / "var", given.followers)
    finally:
        if server is not None:
            server.close()
    goals = f"under {GOAL:g} s, and nobody waits for {WAIT:g} s"
    sys.stdout.write(f"goal, {goals}: {'reached' if reached else 'MISSED'}\n")
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
