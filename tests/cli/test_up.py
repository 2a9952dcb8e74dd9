"""`utskick up`: what it starts, what it refuses, and what it leaves behind."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.cli import valkey
from tests.cli.running import Running
from tests.servers import free_port, wait


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    up = Running(tmp_path_factory.mktemp("up"))
    try:
        yield up.start()
    finally:
        up.give_up()


def broker_answers(up: Running) -> bool:
    url = (up.var_dir / "broker.url").read_text().strip()
    return valkey.answers(Path(url.removeprefix("redis+socket://")))


def test_it_says_where_to_look(running: Running) -> None:
    assert running.site() in running.said
    assert f"http://127.0.0.1:{running.given['mailbox_port']}/" in running.said
    assert str(running.var_dir) in running.said
    assert httpx.get(running.site("/readyz"), trust_env=False).status_code == 200


def test_what_it_keeps_is_private(running: Running) -> None:
    assert running.var_dir.stat().st_mode & 0o777 == 0o700
    for name in ("secret.key", "address.key", "broker.url", "utskick.db"):
        assert (running.var_dir / name).stat().st_mode & 0o777 == 0o600, name


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_second_one_in_the_same_directory_is_refused(running: Running, command: str) -> None:
    assert running.process is not None
    done = running.attempt(command)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"utskick {command}: already running in {running.var_dir} (pid {running.process.pid})"
    ]


@pytest.mark.parametrize("name", ["PORT", "MAILBOX_PORT", "MAILBOX_SMTP_PORT"])
def test_a_port_in_use_is_refused_before_anything_starts(tmp_path: Path, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = Running(tmp_path).attempt(**{name.lower(): port})
    assert done.returncode == 1
    assert done.stderr == f"utskick up: port {port} on 127.0.0.1 is in use; set UTSKICK_{name} to another\n"
    assert not (tmp_path / "var" / "utskick.db").exists()


def test_two_equal_ports_are_refused(tmp_path: Path) -> None:
    port = free_port()
    done = Running(tmp_path).attempt(port=port, mailbox_port=port)
    assert done.returncode == 1
    assert done.stderr == f"utskick up: UTSKICK_MAILBOX_PORT and UTSKICK_PORT are both {port}\n"


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for var_dir in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/utskick")):
        done = Running(tmp_path).attempt(var_dir=var_dir)
        assert done.returncode == 1
        assert done.stderr.startswith(f"utskick up: UTSKICK_VAR_DIR: cannot write in {var_dir} (")
        assert len(done.stderr.splitlines()) == 1


def test_a_public_site_needs_a_relay(tmp_path: Path) -> None:
    done = Running(tmp_path).attempt(base_url="https://press.example.org")
    assert done.returncode == 1
    assert done.stderr == "utskick up: UTSKICK_SMTP_URL is needed: the relay that takes the mail\n"


def test_a_database_that_is_not_its_own_is_not_migrated(tmp_path: Path) -> None:
    done = Running(tmp_path).attempt(database_url=f"sqlite:///{tmp_path / 'other.db'}")
    assert done.returncode == 1
    assert "run `utskick migrate`" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_process_that_dies_is_started_again_and_it_is_said(running: Running) -> None:
    before = running.pid_of("workers.app beat")
    os.kill(before, signal.SIGKILL)
    running.wait_for("beat was killed by SIGKILL; starting it again")
    wait(lambda: any("workers.app beat" in command for command in running.processes().values()))
    assert running.pid_of("workers.app beat") != before


def test_the_broker_comes_back_too(running: Running) -> None:
    os.kill(running.pid_of("valkey-server"), signal.SIGKILL)
    running.wait_for("broker was killed by SIGKILL")
    wait(lambda: broker_answers(running))


def test_after_kill_9_the_next_one_works_even_with_a_long_path(tmp_path: Path) -> None:
    up = Running(tmp_path, var_dir=tmp_path / ("long" * 30) / "var")
    try:
        up.start()
        up.kill9()
        up.start()
        private = Path((up.var_dir / "broker.url").read_text().strip().removeprefix("redis+socket://"))
        assert len(str(private)) < 108
        assert broker_answers(up)
        assert up.interrupt() == 0
        assert up.processes() == {}
        assert not private.parent.exists()
    finally:
        up.give_up()


def test_a_broken_broker_file_is_set_aside_and_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    manifest = tmp_path / "var" / "valkey" / "appendonlydir" / "appendonly.aof.manifest"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("half a li")
    up = Running(tmp_path)
    try:
        up.start()
        assert "begins anew; nothing is lost" in up.said
        assert broker_answers(up)
        assert len(up.processes()) == 7  # up, broker, mailbox and the Procfile's four
        assert up.interrupt(within=10) == 0
        assert up.processes() == {}
        assert not (up.var_dir / "broker.url").exists()
        assert "Traceback" not in up.said
    finally:
        up.give_up()
