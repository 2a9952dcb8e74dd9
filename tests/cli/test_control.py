"""`utskick dispatch pause|resume|cancel`: what they say and do, the first time and again; and who waits meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_commands import run
from tests.conftest import Backend
from tests.journeys.people import room
from tests.servers import Broker, Sink
from tests.stack import Stack


@pytest.fixture
def house(tmp_path: Path, sqlite_backend: Backend, valkey: Broker, sink: Sink) -> Iterator[Stack]:
    """An installation on SQLite."""
    with Stack(tmp_path / "stack", sqlite_backend.fresh(), valkey, sink) as made:
        yield made


def test_each_says_what_is_so_and_is_written_down_once(house: Stack) -> None:
    bath = room(house)
    bath.import_followers("eva@example.org", "nils@example.org")
    bath.publish("badet")
    acts = ("pause", "pause", "resume", "resume", "pause", "show", "cancel", "cancel", "pause", "resume", "decide")
    commands = [["dispatch", act, "1", *(["--leave"] if act == "decide" else [])] for act in acts]
    said = run(house, *commands, ["dispatch", "pause", "9"], ["dispatch", "cancel"])
    assert [one.code for one in said] == [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 2]
    lines = [one.out.strip() for one in said]
    assert lines[:5] == [
        "Dispatch 1 is paused.",
        "Dispatch 1 is already paused.",
        "Dispatch 1 goes on.",
        "Dispatch 1 was not paused.",
        "Dispatch 1 is paused.",
    ]
    assert "It is paused: `utskick dispatch resume 1` lets it go on." in lines[5]
    assert lines[6:8] == [
        "Dispatch 1 is stopped: 0 have got it, 0 will not.",
        "Dispatch 1 is already stopped: 0 have got it, 0 will not.",
    ]
    assert [one.err for one in said[8:10]] == ["utskick: dispatch 1 has ended: it is cancelled\n"] * 2
    assert "there is no dispatch 9" in said[11].err
    written = house.rows("SELECT act, actor, subject, newsroom_id FROM audit WHERE act LIKE 'dispatch.%' ORDER BY id")
    assert [row["act"].partition(".")[2] for row in written] == ["pause", "resume", "pause", "cancel"]
    assert {(row["actor"], row["subject"], row["newsroom_id"]) for row in written} == {
        ("utskick", "Badet öppnar på måndag", 1)
    }


def test_whoever_waits_hears_of_the_pause_and_of_the_end(house: Stack) -> None:
    bath = room(house)
    bath.import_followers("eva@example.org")
    waiting = house.popen("release", "publish", bath.release_file("badet"), "--wait")
    house.wait(lambda: house.rows("SELECT * FROM dispatches"))
    house.cli("dispatch", "pause", "1")
    log = next(name for name, process in house.processes.items() if process is waiting)
    house.wait(lambda: "It is paused" in house.log_file(log).read_text(), what="it says that it is paused")
    assert waiting.poll() is None
    house.cli("dispatch", "cancel", "1")
    assert waiting.wait(15) == 1
    house.processes.pop(log)
    assert "was stopped" in house.log_file(log).read_text()
