"""Pause, resume and stop, in the middle of whatever else is going on: the books balance and nobody gets it twice."""

from collections.abc import Callable, Iterator
from functools import partial
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import text

from service import bells, books, broker, database, ledger, relay, releases, settlement
from service.models import Newsroom
from service.smtp import Accepted, Refused, Uncertain
from service.states import DispatchState
from tests.servers import Broker
from tests.service.press import (
    after,
    at_once,
    begin,
    claim,
    claimed,
    configure,
    crowd,
    dispatched,
    do,
    expand,
    followers,
    journal,
    leave,
    on_the_wire,
    publish,
    record,
    room,
    rows,
    settle,
    state,
    the_books,
    write,
)

YES = Accepted(250, "2.0.0 taken")
LATER = Refused(False, 450, "4.2.0 later")
LOST = Uncertain("the connection ended")
OVER = 3.0
"""Seconds after which a lease of the tests (2 s) is over."""
ON_POSTGRESQL = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
"""SQLite has one writer, so that nobody is in the middle of anything, and plans that no statistics change."""


@pytest.fixture
def press(database_url: str) -> Newsroom:
    return room()


def published(press: Newsroom) -> int:
    """Publish without expanding."""
    made = publish(press).dispatch
    assert made is not None
    return made.id


def pause(number: int) -> bool:
    return do(settlement.pause, number)


def resume(number: int, now: float = 1) -> bool:
    return do(settlement.resume, number, after(now))


def cancel(number: int, now: float = 1) -> bool:
    return do(settlement.cancel, number, after(now))


def sweep(number: int, now: float) -> None:
    settle(after(now))
    do(settlement.skip_cancelled, after(now))
    do(settlement.finish, number, after(now))


def state_of(number: int) -> str:
    return str(the_books(number).dispatch.state)


def while_it_is_expanded(number: int, act: Callable[[int], bool]) -> None:
    """Do something at the very moment at which a worker expands a dispatch."""
    expanding: Callable[[int], bool] = partial(expand, now=after(1))
    both = (expanding, act)
    at_once(2, lambda which: both[which](number))


def send_all(number: int, now: float) -> int:
    """Let the relay take whatever is due, and return how many it took."""
    sent = 0
    while (batch := claimed(number, after(now), 2)) is not None:
        for mail in batch.mails:
            if begin(batch, mail, after(now)):
                record(batch, mail, YES, after(now))
                sent += 1
        do(ledger.close, batch.claim_id)
    do(settlement.finish, number, after(now))
    return sent


def test_paused_before_it_was_expanded_it_is_expanded_when_it_goes_on(press: Newsroom) -> None:
    crowd(press, 2)
    number = published(press)
    assert pause(number)
    assert not expand(number, after(1)), "a bell that was on its way does nothing"
    assert (the_books(number).recipients, state_of(number)) == (None, "paused")
    followers(press, "late@example.org", now=after(60))
    assert resume(number, 120)
    assert state_of(number) == "expanding"
    assert expand(number, after(121))
    assert the_books(number).recipients == 2, "those who followed at the moment of publishing"
    assert send_all(number, 122) == 2
    assert state_of(number) == "finished"


def test_who_leaves_during_a_pause_gets_nothing(press: Newsroom) -> None:
    emails = crowd(press, 3)
    number = dispatched(press)
    pause(number)
    leave(emails[0], press, after(1))
    resume(number, 2)
    assert send_all(number, 3) == 2
    found = the_books(number)
    assert (found.accepted, found.skipped, state_of(number)) == (2, 1, "finished")


def test_nothing_is_claimed_or_begun_while_it_is_paused(press: Newsroom) -> None:
    crowd(press, 3)
    number = dispatched(press)
    batch = claim(number, size=2)
    assert begin(batch, batch.mails[0])
    assert pause(number)
    assert not pause(number)
    assert not begin(batch, batch.mails[1])
    record(batch, batch.mails[0], YES)
    do(ledger.close, batch.claim_id)
    assert [state(mail) for mail in batch.mails] == ["accepted", "queued"]
    assert claimed(number, after(1), 10) is None
    with database.reading() as session:
        assert books.due_dispatches(session, after(10)) == [], "the sweep rings for nothing"


def test_the_last_mail_on_the_wire_counts_and_going_on_finishes_it(press: Newsroom) -> None:
    crowd(press, 1)
    number = dispatched(press)
    batch, mail = on_the_wire(number)
    pause(number)
    record(batch, mail, YES, after(1))
    do(ledger.close, batch.claim_id)
    sweep(number, 10)
    assert (the_books(number).pending, state_of(number)) == (0, "paused")
    assert resume(number, 11)
    found = the_books(number)
    assert (found.accepted, found.dispatch.state, found.dispatch.finished_at) == (1, "finished", after(11))
    assert not resume(number, 12)
    assert not pause(number)
    assert not cancel(number, 12)


@pytest.mark.parametrize(("outcome", "left"), [(LATER, "deferred"), (LOST, "deferred"), (None, "deferred")])
def test_what_comes_back_during_a_pause_waits_for_it_to_go_on(press: Newsroom, outcome: Any, left: str) -> None:
    crowd(press, 2)
    number = dispatched(press)
    batch = claim(number)
    assert begin(batch, batch.mails[0])
    pause(number)
    if outcome is not None:
        record(batch, batch.mails[0], outcome, after(1))
    sweep(number, OVER)
    assert [state(mail) for mail in batch.mails] == [left, "queued"]
    assert state_of(number) == "paused"
    assert claimed(number, after(60), 10) is None
    assert resume(number, 60)
    assert send_all(number, 61) == 2
    assert state_of(number) == "finished"


def test_resumed_twice_or_by_five_at_once_it_goes_on_once(press: Newsroom) -> None:
    crowd(press, 2)
    number = dispatched(press)
    pause(number)
    assert sum(at_once(5, lambda _: resume(number))) == 1
    assert sum(at_once(5, lambda _: pause(number))) == 1
    assert sum(at_once(5, lambda _: cancel(number))) == 1
    assert not resume(number, 2)
    assert not pause(number)
    assert (the_books(number).skipped, state_of(number)) == (2, "cancelled")


def test_stopped_before_it_was_expanded_nobody_gets_it(press: Newsroom) -> None:
    crowd(press, 2)
    number = published(press)
    assert cancel(number)
    assert not expand(number, after(2))
    found = the_books(number)
    assert (found.recipients, found.skipped, found.dispatch.state) == (0, 0, "cancelled")


def test_stopped_during_a_pause(press: Newsroom) -> None:
    crowd(press, 3)
    number = dispatched(press)
    batch, mail = on_the_wire(number)
    pause(number)
    assert cancel(number)
    record(batch, mail, YES, after(1))
    do(ledger.close, batch.claim_id)
    found = the_books(number)
    assert (found.accepted, found.skipped, found.pending, found.dispatch.state) == (1, 2, 0, "cancelled")


def test_stopping_while_it_is_expanded_waits_and_then_skips_them_all(press: Newsroom) -> None:
    crowd(press, 20)
    for turn in range(4):
        made = publish(press, f"badet-{turn}.md").dispatch
        assert made is not None
        number = made.id
        while_it_is_expanded(number, cancel)
        found = the_books(number)
        assert found.dispatch.state == "cancelled"
        assert (found.recipients, found.skipped, found.pending) in ((20, 20, 0), (0, 0, 0))


def test_pausing_while_it_is_expanded_loses_nobody(press: Newsroom) -> None:
    crowd(press, 20)
    for turn in range(4):
        made = publish(press, f"badet-{turn}.md").dispatch
        assert made is not None
        number = made.id
        while_it_is_expanded(number, pause)
        assert state_of(number) == "paused"
        assert resume(number, 2)
        expand(number, after(3))
        assert the_books(number).recipients == 20
        assert send_all(number, 4) == 20
        assert state_of(number) == "finished"


def test_withdrawing_stops_a_paused_mailing(press: Newsroom) -> None:
    crowd(press, 2)
    done = publish(press)
    assert done.dispatch is not None
    expand(done.dispatch.id, after(0))
    pause(done.dispatch.id)

    def withdraw(session: Any) -> bool:
        found = releases.by_slug(session, press.id, done.release.slug)
        assert found is not None
        return releases.withdraw(session, found, after(1))

    assert do(withdraw)
    assert (the_books(done.dispatch.id).skipped, state_of(done.dispatch.id)) == (2, "cancelled")
    assert not resume(done.dispatch.id, 2)


@ON_POSTGRESQL
def test_stopping_waits_for_no_worker_in_the_middle_of_a_claim(press: Newsroom) -> None:
    crowd(press, 4)
    number = dispatched(press)
    taken, go = Event(), Event()

    def slowly() -> None:
        with database.transaction() as session:
            batch = ledger.claim(session, number, "slow", after(1), 2, 50)
            assert batch is not None
            journal().claimed(batch.claim_id)
            taken.set()
            assert go.wait(20)

    worker = Thread(target=slowly)
    worker.start()
    try:
        assert taken.wait(10)
        assert cancel(number, 2)
        assert (the_books(number).skipped, the_books(number).pending) == (2, 2)
    finally:
        go.set()
        worker.join(10)
    assert len(rows("SELECT id FROM deliveries WHERE state = 'claimed'")) == 2
    sweep(number, 1 + OVER)
    sweep(number, 1 + OVER)
    assert (the_books(number).skipped, the_books(number).pending) == (4, 0)


@ON_POSTGRESQL
def test_claiming_and_stopping_are_quick_though_the_statistics_are_of_a_quiet_hour(press: Newsroom) -> None:
    crowd(press, 6000)
    cancel(dispatched(press))
    write("ANALYZE")  # what PostgreSQL does by itself, some time after a mailing
    for name, work in (("a.md", ledger.claim), ("b.md", settlement.cancel)):
        number = dispatched(press, name)
        given = ("test", after(1), 100, 50) if work is ledger.claim else (after(1),)
        with database.transaction() as session:
            session.execute(text("SET LOCAL statement_timeout = 1500"))
            assert work(session, number, *given)
        cancel(number)


def test_stopping_leaves_what_is_held_in_doubt_and_asks_no_more(
    press: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, uncertain="hold")
    crowd(press, 3)
    number = dispatched(press)
    first, lost = on_the_wire(number)
    _, dead = on_the_wire(number)
    record(first, lost, LOST, after(1))
    assert the_books(number).held == 1
    assert cancel(number, 1)
    assert (the_books(number).held, the_books(number).uncertain) == (0, 1)
    sweep(number, OVER)  # the one whose worker died
    found = the_books(number)
    assert (found.held, found.uncertain, found.skipped, found.pending) == (0, 2, 1, 0)
    assert do(settlement.decide_held, number, after(5), resend=True) == 0
    assert [state(mail) for mail in (lost, dead)] == ["uncertain", "uncertain"]


@pytest.fixture
def rung(press: Newsroom, broker_url: str, valkey: Broker) -> Iterator[Any]:
    """How many bells wait on a queue."""
    with valkey.client as client:
        yield lambda queue: int(client.llen(f"utskick:{queue}"))


def test_pausing_and_going_on_many_times_leaves_one_bell(press: Newsroom, rung: Any) -> None:
    crowd(press, 2)
    number = dispatched(press)
    bells.ring_for(number)
    for turn in range(10):
        pause(number)
        assert resume(number, turn)
        bells.ring_if_lost(number)
    assert rung(broker.DISPATCHES) == 1


def test_a_bell_counts_for_the_first_who_hears_it(press: Newsroom, rung: Any) -> None:
    crowd(press, 2)
    number = dispatched(press)
    for _ in range(3):
        bells.ring_for(number)
    assert rung(broker.DISPATCHES) == 3, "as often as somebody fears that it was lost"
    assert sum(at_once(3, lambda _: bells.taken(number, 0))) == 1
    assert not bells.taken(number, 2), "that one was never rung"
    assert bells.taken(number, 1)


def test_a_round_that_saw_the_pause_is_rung_for_where_it_goes_on_meanwhile(press: Newsroom, rung: Any) -> None:
    crowd(press, 2)
    number = dispatched(press)
    assert bells.taken(number, 0)
    pause(number)
    bells.ring_if_due(number)
    assert claimed(number) is None  # the round finds nothing and ends
    assert rung(broker.DISPATCHES) == 0
    assert resume(number)
    bells.ring_if_lost(number)
    assert rung(broker.DISPATCHES) == 1


def test_a_bell_that_waits_for_long_is_rung_again(press: Newsroom, rung: Any) -> None:
    crowd(press, 2)
    number = dispatched(press)
    bells.ring_for(number)
    bells.ring_if_lost(number)
    assert rung(broker.DISPATCHES) == 1
    write("UPDATE dispatches SET rung_at = created_at")  # the tests' clock began long ago
    bells.ring_if_lost(number)
    assert rung(broker.DISPATCHES) == 2
    assert bells.taken(number, 0), "it keeps its number, and so its place"


def test_a_round_that_ends_because_of_the_relay_does_not_ring(press: Newsroom, rung: Any) -> None:
    crowd(press, 2)
    number = dispatched(press)
    with database.transaction() as session:
        relay.away(session, "421 4.3.2 closed", database.now(session))
    bells.ring_if_due(number)
    assert rung(broker.DISPATCHES) == 0


def test_going_on_before_it_was_expanded_rings_to_expand_it(press: Newsroom, rung: Any) -> None:
    crowd(press, 2)
    number = published(press)
    pause(number)
    resume(number)
    bells.ring_if_lost(number)
    assert rung(broker.DISPATCHES) == 1
    assert state_of(number) == DispatchState.EXPANDING
    cancel(number)
    bells.ring_if_lost(number)
    assert rung(broker.DISPATCHES) == 1, "an ended one is not rung for"


def test_deciding_and_stopping_at_once_end_both(press: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, uncertain="hold")
    crowd(press, 40)
    number = dispatched(press)
    for _ in range(40):
        batch, lost = on_the_wire(number)
        record(batch, lost, LOST, after(1))
    assert the_books(number).held == 40
    acts: list[Callable[[], object]] = [
        partial(do, settlement.decide_held, number, after(2), resend=True),
        partial(cancel, number, 2),
    ]
    at_once(6, lambda n: acts[n % 2]())
    found = the_books(number)
    assert (found.held, state_of(number)) == (0, "cancelled")
    sweep(number, OVER)
    assert the_books(number).pending == 0
