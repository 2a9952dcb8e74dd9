"""The journal: what a process handed over is there for whoever comes after it, however it ended."""

import subprocess
import sys
from pathlib import Path

import pytest

from service import journal
from service.journal import Journal
from service.smtp import Accepted, Outcome, Refused, Uncertain

EACH: list[Outcome] = [
    Accepted(250, "2.0.0 taken"),
    Refused(True, 550, "5.1.1 nobody"),
    Refused(False, 450, "4.2.0 later"),
    Uncertain("the connection ended"),
]

KILLED = """
import os, signal, sys
from pathlib import Path
from service.journal import Journal
from service.smtp import Accepted
kept = Journal(Path(sys.argv[1]))
kept.claimed(7)
for number in (1, 2):
    kept.begun(7, number)
    kept.write()
    kept.heard(7, 1, Accepted(250, "taken"))
kept.write()
os.kill(os.getpid(), signal.SIGKILL)
"""


def only(folder: Path) -> Path:
    (path,) = journal.all_of(folder)
    return path


def test_what_is_noted_is_read_as_it_was(tmp_path: Path) -> None:
    kept = Journal(tmp_path)
    kept.claimed(1)
    for number, outcome in enumerate(EACH):
        kept.begun(1, number)
        kept.heard(1, number, outcome)
    kept.begun(2, 10)
    assert journal.living(only(tmp_path)).claims == {1: {}}, "nothing is written before it is asked for"
    kept.write()
    found = journal.living(only(tmp_path))
    assert found.whole
    assert found.claims == {1: dict(enumerate(EACH)), 2: {10: None}}
    kept.forget()
    assert journal.living(only(tmp_path)).claims == {}
    kept.close(done=True)
    assert journal.all_of(tmp_path) == []


def test_a_killed_process_leaves_what_it_noted(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False, cwd=Path(__file__).parents[2])
    assert ended.returncode == -9
    with journal.left_behind(only(tmp_path)) as found:
        assert found is not None
        assert found.claims == {7: {1: Accepted(250, "taken"), 2: None}}
    assert journal.all_of(tmp_path) == []


def test_nobody_takes_the_journal_of_a_process_that_lives(tmp_path: Path) -> None:
    kept = Journal(tmp_path)
    kept.claimed(1)
    with journal.left_behind(only(tmp_path)) as found:
        assert found is None
    kept.close(done=False)
    with journal.left_behind(only(tmp_path)) as found:
        assert found is not None
        with journal.left_behind(only(tmp_path)) as second:
            assert second is None, "one at a time"


def test_a_journal_stays_until_what_it_says_is_settled(tmp_path: Path) -> None:
    kept = Journal(tmp_path)
    kept.claimed(1)
    kept.close(done=False)
    with pytest.raises(ZeroDivisionError), journal.left_behind(only(tmp_path)):
        _ = 1 / 0
    with journal.left_behind(only(tmp_path)) as found:
        assert found is not None
        assert list(found.claims) == [1]
    with journal.left_behind(tmp_path / "gone.journal") as found:
        assert found is None


def test_a_torn_or_foreign_record_ends_the_reading(tmp_path: Path) -> None:
    kept = Journal(tmp_path)
    for number in range(3):
        kept.begun(1, number)
    kept.write()
    path = only(tmp_path)
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:256] + b"\0" * 128, whole + b"x" * 100):
        path.write_bytes(damaged)
        wanted = {0: None, 1: None} if damaged != whole + b"x" * 100 else {0: None, 1: None, 2: None}
        assert journal.living(path).claims == {1: wanted}


def test_of_another_boot_it_is_not_whole(tmp_path: Path) -> None:
    kept = Journal(tmp_path)
    kept.begun(1, 2)
    kept.write()
    kept.close(done=False)
    path = only(tmp_path)
    boot, _, rest = path.name.partition(".")
    path.rename(tmp_path / f"{boot[::-1]}.{rest}")
    with journal.left_behind(only(tmp_path)) as found:
        assert found is not None
        assert not found.whole
        assert found.claims == {1: {2: None}}


def test_long_words_and_odd_characters_fit_a_record(tmp_path: Path) -> None:
    kept = Journal(tmp_path)
    kept.heard(1, 1, Accepted(250, "å" * 200))
    kept.write()
    assert only(tmp_path).stat().st_size == 128
    (said,) = journal.living(only(tmp_path)).claims[1].values()
    assert said == Accepted(250, "å" * 52)


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path; from service.journal import Journal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))\n"
        "kept = Journal(Path(sys.argv[1])); kept.claimed(1)\n"
        "for _ in range(2):\n"
        "    try:\n"
        "        kept.begun(1, 1); kept.write()\n"
        "    except OSError: print('said')\n"
        "print(kept.path.stat().st_size)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], check=True, capture_output=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout == b"said\nsaid\n128\n", "and no half record stays"
