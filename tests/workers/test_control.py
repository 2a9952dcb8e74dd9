"""Pause, resume and stop through real processes and under load: the books are the sink's log each time."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import bells, database, settlement
from service import broker as broker_of_service
from tests.conftest import Backend, opened
from tests.servers import Sink
from tests.service.press import configure, do
from tests.stack import Stack
from tests.workers.mailing import Mailing
from tests.workers.test_crash import PAIRS

pytestmark = pytest.mark.storm

WORKERS = ("worker", "worker.2")
CYCLES = 20


@pytest.fixture(params=PAIRS, ids="-".join)
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """An installation on each pair, with two workers, a sweep of an operator's and a sink that keeps no mail."""
    database_kind, kind = request.param
    backend: Backend = request.getfixturevalue(f"{database_kind}_backend")
    broker = opened(kind)
    sink = Sink(keep=False, delay_ms=4)
    with Stack(tmp_path / "stack", backend.fresh(), broker, sink, sweep_every=5, lease=30) as made:
        yield made
    sink.close()
    broker.close()


def under_way(stack: Stack, followers: int = 600) -> Mailing:
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
    mailing = under_way(loaded, followers=1500)
    configure(monkeypatch, database_url=loaded.database_url, **loaded.broker.settings)
    broker_of_service.app.cache_clear()
    for _ in range(CYCLES):
        assert do(settlement.pause, mailing.dispatch), seed
        rest(loaded, chance.choice((0, 0.01, 0.1, 0.4)))
        assert sum(mailing.counts().values()) == len(mailing.followers), seed
        with database.transaction() as session:
            assert settlement.resume(session, mailing.dispatch, database.now(session)), seed
        bells.ring_again(mailing.dispatch)
        rest(loaded, chance.choice((0, 0.01, 0.1, 0.4)))
    assert mailing.pending() > 0, "so many followers that the cycles end before the mailing does"
    for _ in range(20):
        at_it = loaded.value("SELECT count(*) FROM claims WHERE NOT closed AND dispatch_id = :id", id=mailing.dispatch)
        assert at_it <= 1, f"more than one bell goes round, seed {seed}"
        rest(loaded, 0.05)
    mailing.finish()
    mailing.check(duplicates=0)


def rest(stack: Stack, seconds: float) -> None:
    until = time.time() + seconds
    stack.wait(lambda: time.time() >= until)
