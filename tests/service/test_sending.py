"""Rounds of sending in this process, on a real relay and both databases: what the rows and the relay say in the end."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from threading import Thread
from typing import Any

import pytest

from service import database, delivering, journal, relay, settings, settlement
from service.holding import FRESH
from service.models import Newsroom
from service.smtp import Pace
from tests.servers import Sink, wait
from tests.service.press import configure as configured
from tests.service.press import crowd, dispatched, do, follow, followers, leave, one, room, rows, the_books, write

NOTHING_LEFT = "SELECT count(*) FROM claims WHERE NOT closed"


@pytest.fixture
def press(database_url: str, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> Iterator[Newsroom]:
    """A newsroom whose mail goes to the sink; this process's journal and pace are forgotten afterwards."""
    configured(monkeypatch, smtp_url=sink.url, smtp_timeout=2, lease=30)
    yield room()
    delivering.forget()


def configure(monkeypatch: pytest.MonkeyPatch, **values: object) -> None:
    configured(monkeypatch, **values)
    delivering.forget()


def now() -> datetime:
    """Return the moment by the database's clock: what is sent here is sent in earnest."""
    with database.reading() as session:
        return database.now(session)


def number_of(newsroom: Newsroom) -> int:
    """Publish and expand."""
    return dispatched(newsroom, now=now())


def rounds(number: int | None, most: int = 20) -> int:
    """Let rounds go by until nothing is due, and return how many mails got an answer."""
    sent = 0
    for _ in range(most):
        done = delivering.deliver(number)
        sent += done.sent
        if not done.again:
            break
    return sent


def log_of(sink: Sink) -> Counter[str]:
    return Counter(mail.recipient for mail in sink.log())


def test_everyone_gets_it_once_over_several_connections(press: Newsroom, sink: Sink) -> None:
    emails = crowd(press, 300)
    number = number_of(press)
    assert rounds(number) == 300
    assert log_of(sink) == Counter(emails)
    assert len({mail.connection for mail in sink.log()}) == 4
    found = the_books(number)
    assert (found.accepted, found.dispatch.state) == (300, "finished")
    assert one(NOTHING_LEFT) == 0
    (path,) = journal.all_of(settings.current().journals)
    assert journal.living(path).claims == {}, "what is written down is forgotten"


def test_one_mail_needs_one_connection(press: Newsroom, sink: Sink) -> None:
    follow(press, "anna@example.org", now())
    assert rounds(None) == 1
    assert [mail.connection.rpartition("-")[2] for mail in sink.log()] == ["1"]


def test_the_relays_words_are_kept_without_the_address(press: Newsroom) -> None:
    followers(press, "refuse550-anna.ek@example.org", "bo@example.org")
    rounds(number_of(press))
    kept = rows("SELECT reply FROM deliveries WHERE dispatch_id IS NOT NULL ORDER BY reply")
    assert kept == ["2.0.0 taken as 1", "5.1.1 <<address>> as you asked"]


def test_a_slow_connection_stalls_none_of_the_others(
    press: Newsroom, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, smtp_timeout=6)
    emails = crowd(press, 60)
    followers(press, "hang-anna@example.org")
    number = number_of(press)
    sender = Thread(target=rounds, args=(number,))
    sender.start()
    sink.wait_for(60, timeout=6)
    assert sender.is_alive(), "the one that hangs is not given up yet"
    sender.join(20)
    assert log_of(sink) == Counter(emails)
    assert (the_books(number).accepted, the_books(number).pending) == (60, 1)


@pytest.mark.parametrize("obstacle", ["paused", "cancelled", "left"])
def test_within_a_second_nothing_more_is_begun_when(press: Newsroom, sink: Sink, obstacle: str) -> None:
    emails = crowd(press, 400)
    sink.behave(delay_ms=50)
    number = number_of(press)
    sender = Thread(target=rounds, args=(number, 2))
    sender.start()
    sink.wait_for(40, timeout=10)
    if obstacle == "left":
        leavers = [email for email in emails if not sink.log(email)][-50:]
        for email in leavers:
            leave(email, press, now())
    else:
        do(settlement.pause if obstacle == "paused" else cancel, number)
    done = time.time()
    sender.join(20)
    late = [mail for mail in sink.log() if mail.time > done + 1.1]  # the relay takes 50 ms for one
    if obstacle == "left":
        assert not {mail.recipient for mail in late} & set(leavers)
        assert the_books(number).skipped == len(set(leavers) - set(log_of(sink))) > 0
    else:
        assert late == []
        assert the_books(number).pending == (0 if obstacle == "cancelled" else 400 - sink.count())
    assert the_books(number).accepted == sink.count() == len(log_of(sink))


def test_what_a_stalled_disk_held_up_is_looked_at_again(
    press: Newsroom, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd(press, 8)
    number = number_of(press)
    write_out, writes = os.write, count(1)

    def stalls(file: int, octets: bytes) -> int:
        if next(writes) == 2:  # the first is the claim's; this one notes that a mail is begun
            do(settlement.pause, number)
            over = time.monotonic() + FRESH
            wait(lambda: time.monotonic() > over)
        return write_out(file, octets)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", stalls)
        delivering.deliver(number)
    assert next(writes) > 2
    assert sink.count() == 0
    assert (the_books(number).pending, one("SELECT sum(uncertain_events) FROM deliveries")) == (8, 0)


def cancel(session: Any, number: int) -> bool:
    return settlement.cancel(session, number, database.now(session))


def test_a_relay_that_takes_fewer_connections_is_not_away(press: Newsroom, sink: Sink) -> None:
    sink.behave(most=2, delay_ms=5)
    emails = crowd(press, 80)
    number = number_of(press)
    rounds(number)
    assert log_of(sink) == Counter(emails)
    assert the_books(number).dispatch.state == "finished"
    with database.reading() as session:
        assert relay.state(session) is None


@pytest.mark.parametrize("reply", ["451 4.7.1 slow down", "450 4.7.0 try later", "452 4.3.1 full", "454 4.7.0 busy"])
def test_a_throttling_relay_slows_us_down_and_discards_nothing(
    press: Newsroom, sink: Sink, monkeypatch: pytest.MonkeyPatch, reply: str
) -> None:
    configure(monkeypatch, retry_after="1,1,1,1,1,1,1,1,1", smtp_connections=4)
    emails = crowd(press, 40)
    number = number_of(press)
    sink.behave(rcpt=reply)
    delivering.deliver(number)
    found = the_books(number)
    assert (found.accepted, found.refused, found.pending) == (0, 0, 40)
    assert pace().slowed
    assert found.deferred < 40, "it stopped asking for everyone"
    sink.behave(rcpt="")
    wait(lambda: rounds(number, 1) >= 0 and the_books(number).pending == 0, timeout=30)
    assert log_of(sink) == Counter(emails)


def pace() -> Pace:
    """Return what this process has learned of the relay."""
    return delivering.pace()


def test_a_relay_that_hangs_up_after_each_mail_gets_them_all(
    press: Newsroom, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    emails = crowd(press, 12)
    number = number_of(press)
    configure(monkeypatch, retry_after="1,1,1")
    sink.behave(dot="421 4.3.2 so long")
    delivering.deliver(number)
    assert sink.count() == 0
    assert the_books(number).pending == 12
    sink.behave(dot="")
    wait(lambda: rounds(number, 1) >= 0 and the_books(number).pending == 0, timeout=30)
    assert log_of(sink) == Counter(emails)


def test_the_rate_is_kept_whatever_the_number_of_workers(
    press: Newsroom, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, smtp_max_rate=40)
    emails = crowd(press, 60)
    number = number_of(press)
    rounds(number)
    assert log_of(sink) == Counter(emails)
    times = sorted(mail.time for mail in sink.log())
    for first, last in zip(times, times[40:], strict=False):
        assert last - first > 0.9, "41 mails take a second at 40 a second"


def test_a_mail_outside_the_mailing_waits_for_no_turn(
    press: Newsroom, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, smtp_max_rate=1)
    write("UPDATE relay SET taken_until = :then", then="2099-01-01 00:00:00")
    follow(press, "anna@example.org", now())
    assert delivering.deliver(None).sent == 1, "in its first round, which waits to its end for a turn so far off"
    assert one("SELECT count(*) FROM relay WHERE taken_until > :then", then="2099-01-01 00:00:00") == 1
