"""A claim while it is sent: it grows in the order of sending, and lasts as long as its round."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest

from service import database, delivering, ledger, settlement
from service.holding import WINDOW
from service.models import Newsroom
from service.outcomes import Mail
from service.smtp import Refused
from tests.servers import Sink, wait
from tests.service.press import (
    START,
    after,
    at_once,
    claim,
    configure,
    crowd,
    dispatched,
    do,
    one,
    record,
    room,
    rows,
    settle,
    subscription,
    the_books,
    write,
)

OVER = 10.0
"""Seconds after which a lease of the tests is over."""


@pytest.fixture
def press(database_url: str) -> Newsroom:
    return room()


def more(batch: ledger.Batch, dispatch: int, size: int = 100, seconds: float = 0) -> list[Mail]:
    return do(ledger.more, batch, dispatch, batch.mails[-1].id, after(seconds), size)


def suppress(email: str, newsroom: Newsroom) -> None:
    values = {"hash": subscription(email, newsroom).address_hash, "now": START.replace(tzinfo=None)}
    write("INSERT INTO suppressions (address_hash, reason, created_at) VALUES (:hash, 'bounce', :now)", **values)


def ids(mails: list[Mail]) -> list[int]:
    return [mail.id for mail in mails]


def test_a_claim_grows_in_the_order_of_sending(press: Newsroom) -> None:
    crowd(press, 10)
    number = dispatched(press)
    whose = "SELECT address FROM deliveries JOIN subscriptions ON subscriptions.id = subscription_id"
    emails = rows(f"{whose} ORDER BY deliveries.id")
    batch = claim(number, size=3)
    suppress(emails[5], press)
    grown = more(batch, number, 4)
    assert [mail.address for mail in batch.mails + grown] == [*emails[:5], emails[6]], "but for the suppressed one"
    assert do(ledger.mails_of, batch.claim_id, START) == batch.mails + grown, "the order that settling goes by"
    assert (the_books(number).skipped, the_books(number).pending) == (1, 9)
    assert one("SELECT count(*) FROM claims") == 1


def test_what_comes_before_is_left_to_a_claim_of_its_own(press: Newsroom) -> None:
    crowd(press, 6)
    number = dispatched(press)
    first, second = claim(number, size=2), claim(number, size=2)
    do(ledger.close, first.claim_id)
    grown = more(second, number)
    assert len(grown) == 2
    assert not set(ids(first.mails)) & set(ids(grown)), "a worker that is lost would leave doubts about the wrong mails"
    assert ids(claim(number).mails) == ids(first.mails)


def test_nothing_is_added_to_a_claim_that_was_settled(press: Newsroom) -> None:
    crowd(press, 4)
    number = dispatched(press)
    batch = claim(number, size=2)
    assert settle(after(OVER)) == 1
    assert more(batch, number, seconds=OVER) == []
    assert rows("SELECT state FROM deliveries") == ["queued"] * 4


def test_what_a_claim_put_off_is_for_another_claim(press: Newsroom) -> None:
    crowd(press, 2)
    number = dispatched(press)
    batch = claim(number, size=2)
    record(batch, batch.mails[0], Refused(False, 450, "4.2.0 later"))
    assert more(batch, number, seconds=100) == [], "its journal would be taken at its word for the first try"
    assert ids(claim(number, after(100)).mails) == [batch.mails[0].id]


def test_nothing_is_added_to_a_paused_dispatch(press: Newsroom) -> None:
    crowd(press, 4)
    number = dispatched(press)
    batch = claim(number, size=2)
    assert do(settlement.pause, number)
    assert more(batch, number) == []
    assert Counter(rows("SELECT state FROM deliveries")) == {"claimed": 2, "queued": 2}


def test_a_claim_that_grows_and_is_settled_at_once_keeps_nothing(press: Newsroom) -> None:
    crowd(press, 60)
    number = dispatched(press)
    batch = claim(number, size=20)

    def either(turn: int) -> object:
        return more(batch, number, 20) if turn else settle(after(OVER))

    at_once(2, either)
    settle(after(2 * OVER))
    assert rows("SELECT state FROM deliveries") == ["queued"] * 60


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)  # SQLite has one writer at a time
def test_a_look_that_begins_behind_a_growth_sees_what_it_adds(press: Newsroom) -> None:
    crowd(press, 4)
    number = dispatched(press)
    batch = claim(number, size=2)
    with ThreadPoolExecutor(1) as beside:
        with database.transaction() as session:
            grown = ledger.more(session, batch, number, batch.mails[-1].id, START, 2)
            suppress(grown[1].address or "", press)
            looking = beside.submit(do, ledger.look, batch, number, START)
            with pytest.raises(TimeoutError):
                looking.result(0.3)
        assert looking.result(10).unwelcome == {grown[1].id}


@pytest.fixture
def sending(press: Newsroom, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> Iterator[Newsroom]:
    """A newsroom whose mail goes to the sink, from this process."""
    configure(monkeypatch, smtp_url=sink.url, smtp_timeout=5, lease=30)
    yield press
    delivering.forget()


def mailing(newsroom: Newsroom, size: int, name: str = "badet.md") -> int:
    crowd(newsroom, size)
    with database.reading() as session:
        now = database.now(session)
    return dispatched(newsroom, name, now)


def test_one_claim_goes_on_for_as_long_as_there_is_more(sending: Newsroom, sink: Sink) -> None:
    number = mailing(sending, 1500)
    assert delivering.deliver(number).sent == 1500
    assert Counter(mail.recipient for mail in sink.log()).total() == sink.count() == 1500
    assert len({mail.recipient for mail in sink.log()}) == 1500
    assert one("SELECT count(*) FROM claims WHERE dispatch_id IS NOT NULL") == 1
    assert the_books(number).dispatch.state == "finished"


@pytest.mark.parametrize("waiting", [True, False])
def test_a_round_lasts_while_nobody_else_waits(sending: Newsroom, sink: Sink, waiting: bool) -> None:
    sink.behave(delay_ms=60)
    number = mailing(sending, 420)  # 6.3 s over four connections
    other = dispatched(sending, "annat.md")
    write("UPDATE dispatches SET rung_at = :now WHERE id = :other", other=other, now="2026-03-02") if waiting else None
    done = delivering.deliver(number)
    assert done.again is waiting
    assert (done.sent < 420) is waiting
    assert the_books(number).pending == 420 - done.sent


def test_a_claim_in_which_somebody_goes_last_does_not_grow(sending: Newsroom, sink: Sink) -> None:
    number = mailing(sending, 600)
    write("UPDATE deliveries SET dropped = :yes WHERE id = (SELECT min(id) FROM deliveries)", yes=True)
    delivering.deliver(number)
    assert sink.count() == len({mail.recipient for mail in sink.log()}) == 600
    claims = rows("SELECT count(*) FROM deliveries GROUP BY claim_id ORDER BY claim_id")
    assert len(claims) == 2, "or the order of sending would not be the order that settling goes by"


def test_mails_of_a_relay_that_stalls_are_not_hoarded(sending: Newsroom, sink: Sink) -> None:
    sink.behave(delay_ms=500)
    number = mailing(sending, 900)
    sender = Thread(target=delivering.deliver, args=(number,))
    sender.start()
    sink.wait_for(8, timeout=10)
    held = "SELECT count(*) FROM deliveries WHERE state = 'claimed'"
    wait(lambda: one(held) > 0)
    hoarded = one(held)
    do(settlement.pause, number)
    sender.join(20)
    assert hoarded <= 400 + WINDOW, "two seconds of work at a guess, and what is on its way"
    assert one(held) == 0
    assert the_books(number).accepted == sink.count()
