"""Several hosts on one database and broker: one is lost with its disk, the clocks of two disagree."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Backend
from tests.servers import Broker, Sink
from tests.stack import Stack
from tests.workers.mailing import Mailing

pytestmark = pytest.mark.storm

GROUP = 50
"""Mails of a sending process that may go twice where its journal is gone: what it had not recorded yet."""

SKEW = 300
CLOCK = """import datetime, time_machine
now = datetime.datetime.now(datetime.UTC)
time_machine.travel(now + datetime.timedelta(seconds={})).start()
"""
"""What a host's Python runs first: all its clocks but the monotonic one are wrong, and go on from there."""


@pytest.fixture
def hosts(tmp_path: Path, postgresql_backend: Backend, valkey: Broker, sink: Sink) -> Iterator[tuple[Stack, Stack]]:
    """Two hosts: what they share is the database, the broker and the relay."""
    url = postgresql_backend.fresh()
    given = {"lost_after": 2, "smtp_connections": 4}
    here, there = (Stack(tmp_path / name, url, valkey, sink, **given) for name in ("here", "there"))
    with here, there:
        yield here, there
    postgresql_backend.discard(url)


def claimants(stack: Stack) -> set[str]:
    """Return the process ids of those who have claimed mail of a dispatch."""
    found = stack.rows("SELECT DISTINCT worker FROM claims WHERE dispatch_id IS NOT NULL")
    return {row["worker"].rsplit(":", 1)[-1] for row in found}


def test_a_host_lost_with_its_disk(hosts: tuple[Stack, Stack]) -> None:
    here, there = hosts
    here.sink.behave(delay_ms=10)
    mailing = Mailing(here, 2000)
    there.start("worker", "worker.2", "confirmations", "beat")
    mailing.publish()
    here.sink.wait_for(400, timeout=60)
    here.start("worker", "confirmations", "beat")
    theirs = {str(process.pid) for process in there.processes.values()}
    for name in list(there.processes):
        there.kill9(name)
    shutil.rmtree(there.var_dir)
    assert mailing.pending() > 0
    mailing.finish(120)
    mailing.check(duplicates=GROUP * len(theirs & claimants(here)))


def ahead(stack: Stack, seconds: int) -> None:
    """Let the clocks of a host's processes be fast or slow from now on."""
    (stack.folder / "sitecustomize.py").write_text(CLOCK.format(seconds))
    stack.forked = False  # its Python reads sitecustomize when it starts
    stack.environment["PYTHONPATH"] = os.pathsep.join([str(stack.folder), stack.environment["PYTHONPATH"]])
    asked = [sys.executable, "-c", "import time; print(time.time())"]
    said = subprocess.run(asked, check=True, capture_output=True, env=stack.environment)
    assert abs(float(said.stdout) - time.time() - seconds) < 30


@pytest.mark.parametrize("skew", [SKEW, -SKEW])
def test_clocks_that_disagree_by_five_minutes(hosts: tuple[Stack, Stack], skew: int) -> None:
    here, there = hosts
    ahead(there, skew)
    here.sink.behave(delay_ms=40)
    mailing = Mailing(here, 3000)
    here.start("confirmations", "beat")
    there.start("worker")
    mailing.publish()
    here.sink.wait_for(200, timeout=60)  # there they hear bells rung here
    here.start("worker")
    here.sink.wait_for(500, timeout=60)
    here.end("beat")
    here.end("confirmations")
    there.start("beat", "confirmations")
    there.end("worker")
    sent = here.sink.count()
    assert mailing.pending() > 0
    here.sink.behave(delay_ms=10)
    here.sink.wait_for(sent + 100, timeout=60)  # here they hear bells rung there
    mailing.finish()
    mailing.check(duplicates=0)
    assert here.value("SELECT sum(uncertain_events) FROM deliveries") == 0
