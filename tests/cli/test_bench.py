"""`utskick bench`, small: the real command on its own servers, its figures, and what it leaves behind. No times."""

import json
import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.cli.running import MARK, Marked
from tests.servers import Postgres, spawn, wait
from tests.stack import CLI, environment

SMALL = ("--baseline", "20", "--runs", "1", "--built-in")
SVG = "{http://www.w3.org/2000/svg}"


class Bench(Marked):
    """One bench, among settings of an operator that it must not use."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.temporary = Path(tempfile.mkdtemp(prefix="bench-test-"))
        self.temporary.chmod(0o711)  # PostgreSQL runs as another user where we are root
        self.mark = secrets.token_hex(8)
        self.var_dir = folder / "operators"
        urls = {"database_url": "postgresql://nobody@127.0.0.1:1/none", "smtp_url": "smtp://127.0.0.1:1"}
        self.environment = environment(self.var_dir, broker_url="redis://127.0.0.1:1", **urls)
        self.environment |= {"TMPDIR": str(self.temporary), MARK: self.mark}
        (folder / ".env").write_text("UTSKICK_LEASE=nonsense\n")
        self.out, self.log = folder / "out", folder / "log"
        with self.out.open("wb") as out:
            self.process = spawn(
                [*CLI, "bench", *SMALL, *options], self.log, stdout=out, cwd=folder, env=self.environment
            )

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def ended(self, within: float = 300) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(within)

    def wait_for(self, words: str) -> None:
        """Wait until it has said something."""
        wait(lambda: words in self.said or self.process.poll() is not None, 120, words)
        assert words in self.said, self.said

    def left(self) -> list[str]:
        """Return what it has left behind: files, processes, anything where the operator's are."""
        files = [str(path) for path in self.temporary.rglob("*")]
        return files + list(self.processes().values()) + ([str(self.var_dir)] if self.var_dir.exists() else [])

    def close(self) -> None:
        """End what is left, by pid."""
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        subprocess.run(["rm", "-rf", str(self.temporary)], check=True)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Bench]:
    """Every case on both databases, small."""
    folder = tmp_path_factory.mktemp("bench")
    bench = Bench(folder, "--recipients", "200", "--most", "1100", "--output", str(folder))
    try:
        assert bench.ended() == 0, bench.said
        yield bench
    finally:
        bench.close()


@pytest.fixture(scope="module")
def figures(done: Bench) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((done.folder / "bench.json").read_text())
    return found


def test_it_leaves_nothing_behind(done: Bench) -> None:
    assert done.left() == []


def test_each_database_is_measured_between_the_senders(figures: dict[str, Any]) -> None:
    assert list(figures["path"]) == ["postgresql", "sqlite"]
    for name, found in figures["path"].items():
        (run,) = found["runs"]
        assert run["recipients"] == 200
        assert run["mails_per_second"] == pytest.approx(200 / run["seconds"])
        assert run["worker_cpu_ms"] > 0
        assert (run["database_cpu_ms"] is None) == (name == "sqlite")
        assert 20 < run["worker_peak_mb"] < 1000
        assert found["median"] == run
    assert {name: len(found["laps"]) for name, found in figures["senders"].items()} == {
        "naive": 3,
        "django-style": 3,
        "compiled": 3,
    }


def test_all_senders_send_the_same_mail_of_12_kb(figures: dict[str, Any]) -> None:
    laps = [lap for found in figures["senders"].values() for lap in found["laps"]]
    assert all(lap["mails"] == 20 and 9_000 < lap["octets"] < 14_000 for lap in laps), laps


def test_the_ratios_are_those_of_the_naive_senders_beside_the_run(figures: dict[str, Any]) -> None:
    naive = figures["senders"]["naive"]["laps"]
    for beside, found in zip((naive[:2], naive[1:]), figures["path"].values(), strict=True):
        run = found["median"]
        speed = sum(lap["mails_per_second"] for lap in beside) / 2
        assert run["times_naive_speed"] == pytest.approx(run["mails_per_second"] / speed)
        cpu = sum(lap["cpu_ms"] for lap in beside) / 2
        assert run["part_of_naive_cpu"] == pytest.approx(cpu / run["worker_cpu_ms"])


def test_delay_growth_and_confirmations(figures: dict[str, Any]) -> None:
    delayed = figures["delay"]["median"]
    assert delayed["recipients"] == figures["plan"]["delayed"] == 40
    assert delayed["part_of_alone"] == pytest.approx(delayed["mails_per_second"] / delayed["alone"])
    assert delayed["alone"] <= 1000 / 20 * 32
    assert [point["recipients"] for point in figures["growth"]] == [1000, 1100]
    waits = figures["confirmations"]
    assert waits["requests"] >= 1
    for spread in (waits["from_answer"], waits["from_entry"]):
        assert 0 <= spread["p50"] <= spread["p99"] <= spread["max"]


def test_the_table_says_what_the_figures_say(done: Bench, figures: dict[str, Any]) -> None:
    said = done.out.read_text()
    assert "200 recipients, one worker, 4 connections" in said
    for found in figures["path"].values():
        assert f"{found['median']['mails_per_second']:,.0f} " in said
    for words in (
        "naive",
        "Django",
        "compiled",
        "1,100",
        "40 mails",
        f"{figures['confirmations']['requests']} requests",
    ):
        assert words in said, words


def test_the_drawing_has_every_point(done: Bench, figures: dict[str, Any]) -> None:
    drawn = ElementTree.parse(done.folder / "bench.svg").getroot()
    assert drawn.tag == f"{SVG}svg"
    assert len(drawn.findall(f"{SVG}circle")) == 3 * len(figures["growth"])
    texts = {text.text for text in drawn.iter(f"{SVG}text")}
    assert {"1,000", "1,100", "Mails a second", "CPU time for each mail, ms"} <= texts
    for circle in drawn.findall(f"{SVG}circle"):
        assert 0 < float(circle.attrib["cx"]) < 760
        assert 0 < float(circle.attrib["cy"]) < 550


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Bench]:
    """A mailing under way, on SQLite."""
    bench = Bench(tmp_path, "--recipients", "20000", "--case", "path", "--database", "sqlite", "--json")
    try:
        bench.wait_for("20,000 mails on sqlite")
        wait(lambda: any("workers.app beat" in command for command in bench.processes().values()), 60, "processes")
        yield bench
    finally:
        bench.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wish_to_stop_ends_everything(begun: Bench, number: signal.Signals) -> None:
    begun.process.send_signal(number)
    assert begun.ended(60) == 1
    assert begun.left() == []
    assert begun.said.endswith("utskick bench: stopped; nothing is left of it\n")
    assert "Traceback" not in begun.said
    assert begun.out.read_text() == ""


def test_a_dead_worker_is_a_failure(begun: Bench) -> None:
    os.kill(begun.pid_of("--hostname worker@"), signal.SIGKILL)
    assert begun.ended(60) == 1
    assert "utskick bench: worker ended with exit code -9" in begun.said
    assert begun.left() == []


def test_json_alone_is_printed_where_it_is_asked_for(tmp_path: Path) -> None:
    options = ("--recipients", "20", "--case", "path", "--database", "sqlite", "--json")
    bench = Bench(tmp_path, *options)
    try:
        assert bench.ended() == 0, bench.said
        found = json.loads(bench.out.read_text())
    finally:
        bench.close()
    assert list(found["path"]) == ["sqlite"]
    assert (found["delay"], found["growth"], found["confirmations"]) == (None, [], None)


@pytest.mark.parametrize(
    "options",
    [["--recipients", "0"], ["--database", "oracle"], ["--case", "all"], ["--output", "/nowhere"], ["--delay", "0"]],
)
def test_wrong_use_is_exit_2(options: list[str], tmp_path: Path) -> None:
    bench = Bench(tmp_path, *options)
    try:
        assert bench.ended(60) == 2
        assert options[0] in bench.said
        assert bench.left() == []
    finally:
        bench.close()
