"""Pause, resume and stop through real processes and under load: the books are the sink's log each time."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from service import bells, database, releases, settlement
from service import broker as broker_of_service
from service.models import Newsroom
from service.states import DispatchState
from tests.conftest import Backend, opened
from tests.servers import Sink
from tests.service.press import configure, do, release_file, the_books
from tests.stack import Stack
from tests.workers.mailing import Mailing
from tests.workers.test_crash import PAIRS

pytestmark = pytest.mark.storm

WORKERS = ("worker", "worker.2")
CYCLES = {"valkey": 30, "redis-server": 40, "rabbitmq": 30}
"""How often a dispatch is paused, resumed and cancelled on each pair: a hundred times in all."""


@pytest.fixture(params=PAIRS, ids="-".join)
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """An installation on each pair, with two workers, a sweep of an operator's and a sink that keeps no mail."""
    database_kind, kind = request.param
    backend: Backend = request.getfixturevalue(f"{database_kind}_backend")
    broker = opened(kind)
    sink = Sink(keep=False, delay_ms=60)
    with Stack(tmp_path / "stack", backend.fresh(), broker, sink, sweep_every=5, lease=30) as made:
        yield made
    sink.close()
    broker.close()


def under_way(stack: Stack, followers: int = 2000) -> Mailing:
    """Return a dispatch in the middle of being sent."""
    mailing = Mailing(stack, followers)
    stack.start(*WORKERS, "confirmations", "beat")
    mailing.publish()
    stack.sink.wait_for(100, timeout=60)
    return mailing


def act(stack: Stack, what: str, dispatch: int) -> str:
    return stack.cli("dispatch", what, str(dispatch)).stdout


def test_paused_no_mail_is_begun_and_resumed_it_goes_on_within_two_seconds(loaded: Stack) -> None:
    mailing = under_way(loaded)
    assert "is paused" in act(loaded, "pause", mailing.dispatch)
    paused = time.time()
    loaded.wait(lambda: mailing.counts().get("claimed", 0) == 0, what="nothing is on the wire")
    mark = loaded.sink.count()
    quiet_until = paused + 7  # longer than a sweep
    loaded.wait(lambda: time.time() > quiet_until, timeout=10)
    late = [mail for mail in loaded.sink.log() if mail.time > paused + 1]
    assert late == []
    assert loaded.sink.count() == mark
    assert mailing.pending() > 0
    assert mailing.state() == "paused"
    assert loaded.cli("dispatch", "show", str(mailing.dispatch)).stdout.startswith("Dispatch 1 of")
    act(loaded, "resume", mailing.dispatch)
    resumed = time.time()
    assert loaded.sink.wait_for(mark + 1, timeout=10)[mark].time < resumed + 2
    mailing.finish()
    mailing.check(duplicates=0)


def test_stopped_the_books_are_the_sinks_log(loaded: Stack) -> None:
    mailing = under_way(loaded)
    act(loaded, "cancel", mailing.dispatch)
    loaded.wait(lambda: mailing.pending() == 0, what="nothing is in hand")
    taken = loaded.sink.count()
    books = mailing.bath.books(mailing.dispatch)
    assert (books["state"], books["accepted"], books["pending"]) == ("cancelled", taken, 0)
    assert books["skipped"] == len(mailing.followers) - taken
    assert 0 < taken < len(mailing.followers)
    assert mailing.duplicates() == 0
    accepted = loaded.rows("SELECT s.address FROM deliveries d JOIN subscriptions s ON s.id = d.subscription_id"
                           " WHERE d.state = 'accepted'")  # fmt: skip
    assert {row["address"] for row in accepted} == {mail.recipient for mail in loaded.sink.log()}
    assert loaded.cli("dispatch", "resume", str(mailing.dispatch), check=False).returncode == 1


def test_paused_and_resumed_at_random_everyone_gets_it_once(loaded: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = random.SystemRandom().randrange(1000)
    chance = random.Random(seed)
    mailing = under_way(loaded, followers=6000)
    beside(loaded, monkeypatch)
    for _ in range(100):
        pause_and_resume(mailing, chance)
    assert mailing.pending() > 0, "so many followers that the cycles end before the mailing does"
    for _ in range(20):
        at_it = loaded.value("SELECT count(*) FROM claims WHERE NOT closed AND dispatch_id = :id", id=mailing.dispatch)
        assert at_it <= len(WORKERS), f"more rounds than workers, seed {seed}"
        rest(loaded, 0.05)
    loaded.sink.behave(delay_ms=0)
    mailing.finish()
    mailing.check(duplicates=0)


def test_paused_resumed_and_cancelled_again_and_again(
    loaded: Stack, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    loaded.sink.behave(delay_ms=100)
    mailing = Mailing(loaded, 200)
    loaded.start(*WORKERS, "confirmations", "beat")
    beside(loaded, monkeypatch)
    cycles = CYCLES[request.node.callspec.params["loaded"][1]]
    chance = random.Random(cycles)
    for number in range(cycles):
        mailing.dispatch = published(mailing, f"life-{number}")
        loaded.wait(lambda: the_books(mailing.dispatch).accepted, what="it is under way")
        pause_and_resume(mailing, chance)
        with database.transaction() as session:
            assert settlement.cancel(session, mailing.dispatch, database.now(session))
        loaded.wait(lambda: the_books(mailing.dispatch).pending == 0, what="nothing is in hand")
        found = the_books(mailing.dispatch)
        assert found.accepted + found.skipped == found.recipients == len(mailing.followers)
        assert 0 < found.accepted < len(mailing.followers)
    rows = loaded.rows("SELECT public_id FROM deliveries WHERE state = 'accepted'")
    sent = [mail.message_id.strip("<>").split("@")[0] for mail in loaded.sink.log()]
    assert sorted(row["public_id"] for row in rows) == sorted(sent)


def beside(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process act on the stack's database and broker as web does."""
    configure(monkeypatch, database_url=stack.database_url, **stack.broker.settings)
    broker_of_service.app.cache_clear()


def published(mailing: Mailing, slug: str) -> int:
    """Publish another release of the newsroom and return the number of its dispatch."""
    with database.transaction() as session:
        newsroom = session.scalars(select(Newsroom).where(Newsroom.slug == mailing.bath.slug)).one()
        made = releases.publish(session, newsroom, release_file(f"{slug}.md"), database.now(session)).dispatch
        assert made is not None
        number = made.id
    broker_of_service.ring(broker_of_service.EXPAND, number)
    return number


def pause_and_resume(mailing: Mailing, chance: random.Random) -> None:
    """Pause, look, resume and look again, at moments of chance: the books balance each time."""
    assert do(settlement.pause, mailing.dispatch)
    paused = the_books(mailing.dispatch)
    rest(mailing.stack, chance.choice((0, 0.01, 0.1, 0.3)))
    later = the_books(mailing.dispatch)
    assert later.dispatch.state is DispatchState.PAUSED
    assert paused.recipients == later.recipients == len(mailing.followers)
    assert later.accepted >= paused.accepted
    with database.transaction() as session:
        assert settlement.resume(session, mailing.dispatch, database.now(session))
    bells.ring_if_lost(mailing.dispatch)
    rest(mailing.stack, chance.choice((0, 0.01, 0.1, 0.3)))
    assert the_books(mailing.dispatch).accepted >= later.accepted


def rest(stack: Stack, seconds: float) -> None:
    until = time.time() + seconds
    stack.wait(lambda: time.time() >= until)
