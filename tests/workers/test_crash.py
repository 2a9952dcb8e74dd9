"""Processes die in the middle of a dispatch: nobody is left out, and doubles stay within the promise."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from tests.conftest import Backend, opened
from tests.servers import Broker, Sink
from tests.stack import Stack
from tests.wire import connections
from tests.workers.mailing import Mailing

pytestmark = pytest.mark.storm

FOLLOWERS = 2000
CONNECTIONS = 4
"""Of each sending process."""


PAIRS = [("sqlite", "valkey"), ("postgresql", "redis-server"), ("postgresql", "rabbitmq")]
"""The embedded default, and what an operator runs."""


@pytest.fixture(params=PAIRS, ids="-".join)
def storm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """An installation on each pair, with a sink that keeps no mail."""
    database, kind = request.param
    backend: Backend = request.getfixturevalue(f"{database}_backend")
    broker = opened(kind)
    sink = Sink(keep=False)
    with Stack(tmp_path / "stack", backend.fresh(), broker, sink) as made:
        yield made
    sink.close()
    broker.close()


def under_way(stack: Stack, followers: int = FOLLOWERS) -> Mailing:
    """Return a dispatch of which the sink has counted 500 to 1,500, at some 200 a second."""
    mailing = Mailing(stack, followers)
    stack.sink.behave(delay_ms=20)
    stack.start("worker", "confirmations", "beat")
    mailing.publish()
    stack.sink.wait_for(500, timeout=60)
    return mailing


def test_a_worker_killed_in_mid_dispatch(storm: Stack) -> None:
    mailing = under_way(storm)
    storm.kill9("worker")
    assert 500 <= storm.sink.count() <= 1500
    assert mailing.pending() > 0
    assert mailing.state() == "sending"
    storm.start("worker")
    mailing.finish()
    mailing.check(duplicates=CONNECTIONS)


def test_the_broker_flushed_in_mid_dispatch(storm: Stack) -> None:
    mailing = under_way(storm)
    storm.broker.flush()
    assert 500 <= storm.sink.count() <= 1500
    assert mailing.pending() > 0
    mailing.finish()
    mailing.check(duplicates=0)


def test_every_process_killed_and_the_broker_flushed(stack: Stack) -> None:
    mailing = under_way(stack, followers=1000)
    for name in ("worker", "confirmations", "beat"):
        stack.kill9(name)
    stack.broker.flush()
    assert mailing.pending() > 0
    stack.start("worker", "confirmations", "beat")
    mailing.finish()
    mailing.check(duplicates=CONNECTIONS)


def test_a_worker_stopped_softly_sends_nothing_twice(stack: Stack) -> None:
    mailing = under_way(stack, followers=1000)
    assert stack.end("worker") == 0
    assert mailing.pending() > 0
    stack.start("worker")
    mailing.finish()
    mailing.check(duplicates=0)
    assert stack.value("SELECT sum(uncertain_events) FROM deliveries") == 0


def test_a_worker_asleep_past_its_lease(stack: Stack) -> None:
    mailing = under_way(stack, followers=900)
    zombie = stack.processes["worker"].pid
    stack.wait(lambda: asleep(stack, "worker"), what="it sleeps on the wire, without the database's lock")
    on_the_wire = connections(zombie, stack.sink.port)
    assert mailing.pending() > 0
    stack.start("worker.2")
    mailing.finish()
    stack.resume("worker")
    stack.wait(lambda: connections(zombie, stack.sink.port) == 0, what="it has woken up and hung up")
    assert stack.end("worker") == 0
    assert 1 <= on_the_wire <= CONNECTIONS
    mailing.check(duplicates=on_the_wire)


def test_a_worker_ended_softly_under_a_slow_relay_is_gone_within_five_seconds(stack: Stack) -> None:
    stack.sink.behave(delay_ms=900)
    mailing = Mailing(stack, 60)
    stack.start("worker", "confirmations", "beat")
    mailing.publish()
    for taken in (4, 9):
        stack.sink.wait_for(taken)
        began = monotonic()
        assert stack.end("worker") == 0
        assert monotonic() - began < 5
        assert mailing.pending() > 0
        stack.start("worker")
    stack.sink.behave(delay_ms=0)
    mailing.finish()
    mailing.check(duplicates=0)
    assert stack.value("SELECT sum(uncertain_events) FROM deliveries") == 0


def asleep(stack: Stack, name: str) -> bool:
    """Stop a process with mail on the wire; where it has none, or holds SQLite's lock, let it go on and say so."""
    stack.pause(name)
    if connections(stack.processes[name].pid, stack.sink.port) == 0:
        stack.resume(name)  # between two rounds
        return False
    if not stack.database_url.startswith("sqlite"):
        return True
    locker = sqlite3.connect(stack.database_url.removeprefix("sqlite:///"), isolation_level=None, timeout=0.2)
    try:
        locker.execute("BEGIN IMMEDIATE")
        locker.execute("ROLLBACK")
    except sqlite3.OperationalError:
        stack.resume(name)
        return False
    finally:
        locker.close()
    return True


def test_two_workers_share_a_dispatch_without_doubles(stack: Stack) -> None:
    mailing = Mailing(stack, 600)
    stack.start("worker", "worker.2", "confirmations", "beat")
    mailing.publish()
    mailing.finish()
    mailing.check(duplicates=0)


def test_postgresql_restarted_in_mid_dispatch(
    tmp_path: Path, postgresql_backend: Backend, valkey: Broker, sink: Sink
) -> None:
    assert postgresql_backend.server is not None
    with Stack(tmp_path / "stack", postgresql_backend.fresh(), valkey, sink) as stack:
        mailing = under_way(stack, followers=1000)
        stack.start("web")
        postgresql_backend.server.stop()
        with stack.client() as client:
            answer = client.post(mailing.bath.url("/subscribe"), data={"email": "later@example.org"})
            assert answer.status_code == 503
            assert client.get("/readyz").status_code == 503
            assert client.get("/healthz").status_code == 200
        postgresql_backend.server.start()
        mailing.finish()
        mailing.check(duplicates=0)
        stack.wait(stack.is_ready, what="web is ready again")
