"""Entering recipients in ranges: everyone once, whoever is killed, pauses, leaves or confirms in between."""

import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy.orm import Session

from service import bells, books, broker, database, expanding, ledger, releases, settlement, subscriptions
from service.expanding import Progress
from service.models import Newsroom
from tests.servers import Broker, spawn, wait
from tests.service.press import (
    after,
    at_once,
    claim,
    crowd,
    do,
    follow,
    followers,
    leave,
    link,
    one,
    publish,
    room,
    rows,
    the_books,
)

ON_POSTGRESQL = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
"""SQLite has one writer: nobody is in the middle of anything."""

ONE_BY_ONE = """
import sys
from service import expanding
expanding.expand(int(sys.argv[1]), lambda: False, size=1)
"""


@pytest.fixture
def press(database_url: str) -> Newsroom:
    return room()


def published(press: Newsroom, name: str = "badet.md") -> int:
    made = publish(press, name).dispatch
    assert made is not None
    return made.id


def enter(number: int, now: float = 1, size: int = 10) -> Progress:
    return do(expanding.enter, number, after(now), size)


def entered(number: int) -> int:
    return int(one("SELECT count(*) FROM deliveries WHERE dispatch_id = :id", id=number))


def shown(number: int) -> tuple[str, int | None, int]:
    """Return a dispatch's state, its recipients, and its rows; its books balance."""
    found = the_books(number)
    return str(found.dispatch.state), found.recipients, entered(number)


def withdraw(press: Newsroom) -> bool:
    def its(session: Session) -> bool:
        found = releases.by_slug(session, press.id, "badet")
        assert found is not None
        return releases.withdraw(session, found, after(5))

    return do(its)


@pytest.mark.parametrize(("count", "steps"), [(25, 3), (20, 3), (19, 2), (1, 1), (0, 1)])
def test_everyone_is_entered_once_and_then_the_sending_begins(press: Newsroom, count: int, steps: int) -> None:
    if count:
        crowd(press, count)
    number = published(press)
    for step in range(1, steps):
        assert enter(number, step) is Progress.SOME
        assert shown(number) == ("expanding", None, min(10 * step, count))
        assert do(ledger.claim, number, "test", after(step), 100, 50) is None, "nothing is sent before all are entered"
    assert enter(number, steps) is Progress.ALL
    assert shown(number) == ("sending" if count else "finished", count, count)
    assert the_books(number).dispatch.started_at == after(steps)
    its = rows("SELECT subscription_id FROM deliveries WHERE dispatch_id = :id", id=number)
    assert sorted(its) == rows("SELECT id FROM subscriptions ORDER BY id")
    assert len(set(rows("SELECT public_id FROM deliveries"))) == count
    assert enter(number, 9) is Progress.NONE
    assert shown(number)[1:] == (count, count)


def test_a_worker_that_is_killed_in_the_middle_leaves_the_rest_to_the_next(press: Newsroom, tmp_path: Path) -> None:
    crowd(press, 300)
    number = published(press)
    worker = spawn([sys.executable, "-c", ONE_BY_ONE, str(number)], tmp_path / "log", env=dict(os.environ))
    wait(lambda: entered(number) >= 3, what=f"some are entered, see {tmp_path / 'log'}")
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    there = entered(number)
    assert there < 300
    assert shown(number) == ("expanding", None, there)
    while (progress := enter(number, size=50)) is Progress.SOME:
        pass
    assert progress is Progress.ALL
    assert shown(number) == ("sending", 300, 300)


def test_a_range_that_fails_leaves_nothing_of_itself(press: Newsroom) -> None:
    crowd(press, 15)
    number = published(press)
    enter(number)
    with pytest.raises(RuntimeError), database.transaction() as session:
        expanding.enter(session, number, after(2), 10)
        raise RuntimeError("killed")
    assert shown(number) == ("expanding", None, 10)
    assert enter(number) is Progress.ALL
    assert shown(number) == ("sending", 15, 15)


def test_several_at_once_enter_everyone_once(press: Newsroom) -> None:
    crowd(press, 40)
    number = published(press)
    said = at_once(4, lambda _: expanding.expand(number, lambda: False, size=3))
    assert said.count(Progress.ALL) == 1
    assert set(said) <= {Progress.ALL, Progress.NONE}, "who finds another at it leaves it to that one"
    assert shown(number) == ("sending", 40, 40)


@ON_POSTGRESQL
def test_who_waited_while_another_entered_the_range_does_not_do_it_again(press: Newsroom) -> None:
    crowd(press, 15)
    number = published(press)
    said: list[Progress] = []
    with database.transaction() as session:
        expanding.enter(session, number, after(1), 10)
        other = Thread(target=lambda: said.append(enter(number)))
        other.start()
        wait(somebody_waits)
    other.join()
    assert said == [Progress.NONE]
    assert shown(number) == ("expanding", None, 10)


def somebody_waits() -> bool:
    return bool(rows("SELECT 1 FROM pg_locks WHERE NOT granted"))


def test_a_pause_ends_it_after_the_range_and_going_on_enters_the_rest(press: Newsroom) -> None:
    crowd(press, 25)
    number = published(press)
    enter(number)
    assert do(settlement.pause, number)
    assert enter(number) is Progress.NONE
    assert shown(number) == ("paused", None, 10)
    followers(press, "late@example.org", now=after(60))
    assert do(settlement.resume, number, after(61))
    assert shown(number) == ("expanding", None, 10)
    assert enter(number, 62) is Progress.SOME
    assert enter(number, 63) is Progress.ALL
    assert shown(number) == ("sending", 25, 25)


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("ended", ["cancelled", "withdrawn"])
def test_stopped_in_the_middle_those_entered_are_skipped(press: Newsroom, ended: str, paused: bool) -> None:
    crowd(press, 25)
    number = published(press)
    enter(number)
    if paused:
        do(settlement.pause, number)
    assert do(settlement.cancel, number, after(5)) if ended == "cancelled" else withdraw(press)
    found = the_books(number)
    assert (found.recipients, found.skipped, found.pending, found.dispatch.state) == (10, 10, 0, "cancelled")
    assert enter(number) is Progress.NONE
    assert shown(number) == ("cancelled", 10, 10)


@ON_POSTGRESQL
@pytest.mark.parametrize("act", ["cancel", "pause"])
def test_who_stops_or_pauses_during_a_range_waits_for_that_one_and_counts_it(press: Newsroom, act: str) -> None:
    crowd(press, 25)
    number = published(press)
    acts = {"cancel": partial(do, settlement.cancel, number, after(5)), "pause": partial(do, settlement.pause, number)}
    with database.transaction() as session:
        expanding.enter(session, number, after(1), 10)
        other = Thread(target=acts[act])
        other.start()
        wait(somebody_waits)
    other.join()
    found = the_books(number)
    if act == "cancel":
        assert (found.recipients, found.skipped, found.dispatch.state) == (10, 10, "cancelled")
    else:
        assert shown(number) == ("paused", None, 10)
    assert enter(number) is Progress.NONE


def test_stopped_at_any_moment_the_books_balance(press: Newsroom) -> None:
    crowd(press, 12)
    for turn in range(6):
        number = published(press, f"badet-{turn}.md")
        both = (partial(expanding.expand, number, lambda: False, 2), partial(do, settlement.cancel, number, after(5)))
        at_once(2, lambda which, both=both: both[which]())  # type: ignore[misc]
        do(settlement.skip_cancelled, after(6))
        found = the_books(number)
        assert (found.dispatch.state, found.pending) == ("cancelled", 0)
        assert found.recipients == found.skipped == entered(number)


def test_who_leaves_in_between_is_counted_and_skipped(press: Newsroom) -> None:
    emails = crowd(press, 15)
    number = published(press)
    enter(number)
    leave(emails[0], press, after(2))
    leave(emails[14], press, after(2))
    assert enter(number, 3) is Progress.ALL
    found = the_books(number)
    assert (found.recipients, found.skipped, found.pending) == (15, 2, 13)
    assert len(claim(number, after(4)).mails) == 13


def test_who_confirms_or_comes_in_between_is_not_entered(press: Newsroom) -> None:
    follow(press, "early@example.org")
    crowd(press, 15)
    follow(press, "asking@example.org")
    number = published(press)
    enter(number)
    for email in ("early@example.org", "asking@example.org"):
        assert do(subscriptions.confirm, link(email, press), after(2)).status == "confirmed"
    followers(press, "new@example.org", now=after(2))
    assert enter(number, 3) is Progress.ALL
    assert shown(number) == ("sending", 15, 15)
    assert {mail.address for mail in claim(number, after(4)).mails}.isdisjoint(
        {"early@example.org", "asking@example.org", "new@example.org"}
    )


@ON_POSTGRESQL
def test_who_is_not_in_the_range_under_way_waits_for_nothing(press: Newsroom) -> None:
    emails = crowd(press, 30)
    follow(press, "asking@example.org")
    number = published(press)
    with database.transaction() as session:
        expanding.enter(session, number, after(1), 10)
        leave(emails[20], press, after(2))
        assert do(subscriptions.confirm, link("asking@example.org", press), after(2)).status == "confirmed"
    assert entered(number) == 10


def test_a_worker_that_is_to_stop_does_so_after_the_range(press: Newsroom) -> None:
    crowd(press, 25)
    number = published(press)
    assert expanding.expand(number, lambda: True, size=10) is Progress.SOME
    assert shown(number) == ("expanding", None, 10)


def test_others_newsrooms_followers_are_passed_over(press: Newsroom) -> None:
    norrvik = room("norrvik")
    for turn in range(12):
        followers(press, f"a{turn}@example.org")
        followers(norrvik, f"b{turn}@example.org")
    number = published(press)
    assert [enter(number, size=5) for _ in range(3)] == [Progress.SOME, Progress.SOME, Progress.ALL]
    addresses = [mail.address for mail in claim(number, after(2)).mails]
    assert sorted(addresses, key=str) == sorted(f"a{turn}@example.org" for turn in range(12))


def test_it_is_not_called_idle_while_ranges_are_entered(press: Newsroom) -> None:
    crowd(press, 25)
    number = published(press)

    def idle_since() -> Any:
        with database.reading() as session:
            return books.idle_since(session, the_books(number).dispatch)

    assert idle_since() == after(0), "published, and nobody at it"
    enter(number, 40)
    assert idle_since() == after(40)
    enter(number, 50)
    assert idle_since() == after(50)


@pytest.fixture
def rung(press: Newsroom, broker_url: str, valkey: Broker) -> Iterator[Any]:
    """How many bells wait for workers."""
    with valkey.client as client:
        yield lambda: int(client.llen(f"utskick:{broker.DISPATCHES}"))


def test_however_often_the_sweep_looks_there_is_one_bell_to_expand(press: Newsroom, rung: Any) -> None:
    crowd(press, 25)
    number = published(press)
    for _ in range(5):
        bells.ring_if_lost(number)
    assert rung() == 1
