"""The relay, the broker or the database is away, hung or rude: a clear word, nothing lost, and it goes on by itself."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.conftest import Authority, Backend, opened
from tests.servers import Broker, Sink
from tests.stack import Stack
from tests.workers.mailing import Mailing

pytestmark = pytest.mark.storm


@pytest.fixture
def small(tmp_path: Path, sqlite_backend: Backend, valkey: Broker, sink: Sink) -> Iterator[Stack]:
    """An installation on SQLite whose relay the test may upset."""
    with Stack(tmp_path / "stack", sqlite_backend.fresh(), valkey, sink, smtp_timeout=2) as made:
        yield made


def attempts(stack: Stack) -> int:
    """Return how many attempts all rows have burnt."""
    return int(stack.value("SELECT coalesce(sum(attempts), 0) FROM deliveries"))


TROUBLES: dict[str, dict[str, Any]] = {
    "refuses the connection": {"listen": False},
    "refuses MAIL": {"mail": "451 4.3.0 try later"},
    "hangs at MAIL": {"hang": "mail"},
    "hangs up at RCPT": {"drop": "rcpt"},
}
USUAL = {"listen": True, "mail": "", "hang": "", "drop": ""}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_relay_that_is_away_is_said_and_comes_back(small: Stack, trouble: str) -> None:
    mailing = Mailing(small, 30)  # a relay that hangs up costs an attempt once it does so at the same recipient again
    small.sink.behave(**TROUBLES[trouble])
    small.start("worker", "confirmations", "beat")
    mailing.publish()
    small.wait(lambda: small.rows("SELECT * FROM relay WHERE unreachable_since IS NOT NULL"), what="the books say so")
    books = mailing.bath.books(mailing.dispatch)
    assert (books["state"], books["pending"]) == ("sending", 30)
    said = small.cli("dispatch", "show", str(mailing.dispatch)).stdout
    assert "Relay unreachable since" in said
    assert attempts(small) == 0
    small.sink.behave(**USUAL)
    began = monotonic()
    small.sink.wait_for(30)
    assert monotonic() - began < 10 + 2  # the one that hangs must first give up
    mailing.finish()
    mailing.check(duplicates=0)
    assert "unreachable" not in small.cli("dispatch", "show", str(mailing.dispatch)).stdout


def test_a_relay_that_wants_another_password(small: Stack) -> None:
    small.sink.behave(auth="utskick:right")
    small.environment["UTSKICK_SMTP_URL"] = small.sink.url.replace("//", "//utskick:s3cret-but-not-it@")
    mailing = Mailing(small, 3)
    small.start("worker", "confirmations", "beat")
    mailing.publish()
    small.wait(lambda: small.rows("SELECT * FROM relay WHERE unreachable_since IS NOT NULL"), what="the books say so")
    said = small.cli("dispatch", "show", str(mailing.dispatch)).stdout
    assert "535" in said
    assert "s3cret" not in said
    assert attempts(small) == 0
    small.end("worker")
    small.environment["UTSKICK_SMTP_URL"] = small.sink.url.replace("//", "//utskick:right@")
    small.start("worker")
    mailing.finish()
    mailing.check(duplicates=0)


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
def test_a_relay_with_tls(
    tmp_path: Path, sqlite_backend: Backend, valkey: Broker, authority: Authority, scheme: str
) -> None:
    sink = Sink(cert=authority.cert, tls=scheme == "smtps", starttls=scheme != "smtps", auth="utskick:right")
    url = sink.url.replace("//", "//utskick:right@")
    with Stack(tmp_path / "stack", sqlite_backend.fresh(), valkey, sink, smtp_url=url) as stack:
        mailing = Mailing(stack, 3)
        stack.start("worker", "confirmations", "beat")
        mailing.publish()
        stack.wait(lambda: stack.rows("SELECT * FROM relay WHERE unreachable_since IS NOT NULL"))
        assert "certificate" in stack.cli("dispatch", "show", "1").stdout.lower()
        stack.end("worker")
        stack.environment["SSL_CERT_FILE"] = authority.ca
        stack.start("worker")
        mailing.finish()
        mailing.check(duplicates=0)
    sink.close()


def test_each_recipients_refusal_is_its_own(stack: Stack) -> None:
    stack.environment["UTSKICK_RETRY_AFTER"] = "1,1"
    mailing = Mailing(stack, 3)
    names = ("refuse550-a", "defer450once-b", "defer451-c", "dot552-d", "drop-after-dot-once-e")
    mailing.bath.import_followers(*(f"{name}@example.org" for name in names))
    stack.start("worker", "confirmations", "beat")
    mailing.publish()
    mailing.finish()
    rows = stack.rows(
        "SELECT s.address, d.state, d.attempts, d.uncertain_events, d.reply_code FROM deliveries d"
        " JOIN subscriptions s ON s.id = d.subscription_id"
    )
    found = {row["address"].split("@")[0]: row for row in rows}
    assert {name: found[name]["state"] for name in names} == {
        "refuse550-a": "refused", "defer450once-b": "accepted", "defer451-c": "refused", "dot552-d": "refused",
        "drop-after-dot-once-e": "accepted",
    }  # fmt: skip
    assert [found[name]["attempts"] for name in names] == [1, 2, 3, 1, 2]
    assert found["defer451-c"]["reply_code"] == 451
    assert found["drop-after-dot-once-e"]["uncertain_events"] == 1
    assert {found[f"f{n}"]["state"] for n in range(3)} == {"accepted"}


def test_a_recipient_at_whom_the_relay_hangs_up_holds_up_nobody(small: Stack) -> None:
    small.environment["UTSKICK_RETRY_AFTER"] = "1,1"
    mailing = Mailing(small, 3)
    mailing.bath.import_followers("drop-p@example.org")
    small.start("worker", "confirmations", "beat")
    mailing.publish()
    mailing.finish()
    assert mailing.counts() == {"accepted": 3, "refused": 1}
    assert small.value("SELECT attempts FROM deliveries WHERE state = 'refused'") == 3


def test_a_relay_slower_than_the_lease_loses_and_doubles_nothing(small: Stack) -> None:
    small.environment["UTSKICK_SMTP_TIMEOUT"] = "30"
    small.sink.behave(delay_ms=3500)  # the tests' lease is 2 s: it is renewed while the mail is on the wire
    mailing = Mailing(small, 2)
    small.start("worker", "worker.2", "confirmations", "beat")
    mailing.publish()
    mailing.finish()
    mailing.check(duplicates=0)
    assert small.value("SELECT sum(uncertain_events) FROM deliveries") == 0


def test_who_leaves_while_the_relay_dawdles_gets_nothing(small: Stack) -> None:
    small.environment["UTSKICK_SMTP_TIMEOUT"] = "30"
    mailing = Mailing(small, 2)
    small.start()
    small.sink.pause()
    mailing.publish()
    in_hand = "SELECT subscription_id FROM deliveries WHERE state = 'claimed'"
    row, _ = small.wait(lambda: small.rows(in_hand), what="they are claimed, and wait for the relay")
    (leaver,) = small.rows("SELECT address, leave_token FROM subscriptions WHERE id = :id", id=row["subscription_id"])
    with small.client() as client:
        assert client.post(f"/unsubscribe/{leaver['leave_token']}").status_code == 200
    left = monotonic()
    small.wait(lambda: monotonic() > left + 1, what="a second has passed")
    small.sink.resume()
    mailing.finish()
    assert leaver["address"] not in {mail.recipient for mail in small.sink.log()}
    assert mailing.counts() == {"accepted": 1, "skipped": 1}


def test_a_mail_that_cannot_be_made_says_why_and_names_nobody(small: Stack) -> None:
    small.environment["UTSKICK_RETRY_AFTER"] = "1"
    mailing = Mailing(small, 1)
    mailing.publish()
    small.write("UPDATE messages SET content = x'00'")
    small.start("worker", "confirmations", "beat")
    small.wait(lambda: mailing.counts() == {"refused": 1})
    log = small.log_file("worker").read_text()
    assert "mail could not be made" in log
    assert "MessageError" in log
    assert "example.org" not in log
    assert small.value("SELECT leave_token FROM subscriptions") not in log


def test_dispatches_take_turns_and_their_bells_do_not_multiply(small: Stack, valkey: Broker) -> None:
    small.sink.behave(delay_ms=50)
    mailings = [Mailing(small, 150) for _ in range(3)]
    small.start("worker", "confirmations", "beat")
    for mailing in mailings:
        mailing.publish()
    small.wait(lambda: all(mailing.counts().get("accepted", 0) > 0 for mailing in mailings), what="all have begun")
    with valkey.client as client:
        assert client.llen("utskick:dispatches") <= 2 * len(mailings)
    for mailing in mailings:
        mailing.finish()


def test_uncertain_mail_is_held_until_somebody_decides(small: Stack) -> None:
    small.environment["UTSKICK_UNCERTAIN"] = "hold"
    mailing = Mailing(small, 1)
    mailing.bath.import_followers("drop-after-dot-once-e@example.org")
    small.start("worker", "confirmations", "beat")
    mailing.publish()
    small.wait(lambda: mailing.counts() == {"accepted": 1, "uncertain": 1})
    assert mailing.state() == "sending"
    assert "held" in small.cli("dispatch", "show", "1").stdout
    small.cli("dispatch", "decide", "1", "--resend")
    mailing.finish()
    assert mailing.counts() == {"accepted": 2}


@pytest.mark.parametrize("kind", ["valkey", "rabbitmq"])
def test_the_broker_refused_or_hung_stops_nobody(
    tmp_path: Path, sqlite_backend: Backend, sink: Sink, kind: str
) -> None:
    broker = opened(kind)
    with Stack(tmp_path / "stack", sqlite_backend.fresh(), broker, sink) as stack:
        mailing = Mailing(stack, 3)
        stack.start()
        broker.pause()
        with stack.client() as client:
            began = monotonic()
            assert mailing.bath.follow(client, "hung@example.org").status_code == 202
            assert monotonic() - began < 5
            assert client.get("/readyz").json()["status"] == "degraded"
            said = stack.cli("release", "publish", mailing.bath.release_file("hung"))
            assert "broker is away" in said.stderr
            broker.resume()
            sink.wait_for(4)
            broker.kill()
            assert mailing.bath.follow(client, "refused@example.org").status_code == 202
            said = stack.cli("release", "publish", mailing.bath.release_file("refused"))
            assert "broker is away" in said.stderr
            broker.start()
            stack.wait(lambda: sink.count() >= 8, what="bells are heard again")
    broker.close()


def test_a_locked_sqlite_is_said_and_waited_for(small: Stack) -> None:
    mailing = Mailing(small, 3)
    small.start()
    path = small.database_url.removeprefix("sqlite:///")
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    try:
        said = small.cli("release", "publish", mailing.bath.release_file("last"), check=False)
        assert (said.returncode, said.stdout) == (1, "")
        assert "cannot be reached" in said.stderr
        assert "Traceback" not in said.stderr
        with small.client(timeout=20) as client:
            assert mailing.bath.follow(client, "locked@example.org").status_code == 503
            assert client.get(mailing.bath.url()).status_code == 200
    finally:
        locker.execute("ROLLBACK")
        locker.close()
    mailing.publish()
    mailing.finish()
    mailing.check(duplicates=0)
    assert not small.rows("SELECT * FROM releases WHERE slug = 'last'")
