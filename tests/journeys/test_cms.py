"""A CMS that publishes by the API through real processes: one call, one mailing, whatever is lost on the way."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Backend
from tests.journeys.people import Room, room
from tests.journeys.test_once import at_once
from tests.servers import Broker, Postgres, Sink
from tests.stack import ROOT, Stack

FOLLOWERS = ("ada", "bo", "cleo")
WANTED = {"headline": "Badet öppnar", "lead": "Från och med måndag är badet öppet.", "publish": {}}
OF_ROOM = (
    "SELECT {what} FROM releases r JOIN newsrooms n ON n.id = r.newsroom_id"
    " LEFT JOIN dispatches d ON d.release_id = r.id WHERE n.slug = :slug"
)


def key_to(bath: Room, role: str = "publisher") -> dict[str, str]:
    """Have a key made; return what a program sends with it."""
    said = bath.stack.cli("staff", "key", "--newsroom", bath.slug, "--role", role, "--name", "CMS", "--json")
    return {"Authorization": f"Bearer {json.loads(said.stdout)['key']}"}


class Cms:
    """A program with a key, and the newsroom that it publishes in."""

    def __init__(self, bath: Room) -> None:
        self.bath, self.headers = bath, key_to(bath)
        self.path = f"/api/v1/newsrooms/{bath.slug}/releases"

    def create(self, **headers: str) -> httpx.Response:
        """Create and publish the release, with a connection of its own."""
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        with self.bath.stack.client(headers=sent) as client:
            return client.post(self.path, json=WANTED)

    def post(self, path: str) -> httpx.Response:
        """Send a request without a body."""
        with self.bath.stack.client(headers=self.headers) as client:
            return client.post(f"/api/v1{path}")

    def made(self) -> list[dict[str, Any]]:
        """Return the newsroom's releases with their mailings."""
        return self.bath.stack.rows(OF_ROOM.format(what="r.id, r.state, d.id AS dispatch"), slug=self.bath.slug)

    def mailed_once(self) -> None:
        """See that there is one release and one mailing, and that each follower gets one mail."""
        ((number, mailing),) = [(one["id"], one["dispatch"]) for one in self.made()]
        assert number
        stack = self.bath.stack
        stack.wait(lambda: self.bath.books(mailing)["state"] == "finished", what="finished")
        assert self.bath.books(mailing)["accepted"] == len(FOLLOWERS)
        for name in FOLLOWERS:
            assert len(stack.sink.log(f"{name}@{self.bath.slug}.example.org")) == 1


@pytest.fixture
def cms(running: Stack) -> Cms:
    """A CMS with a key to a newsroom with three followers."""
    bath = room(running)
    bath.import_followers(*(f"{name}@{bath.slug}.example.org" for name in FOLLOWERS))
    return Cms(bath)


def send_and_hang_up(cms: Cms, key: str) -> None:
    """Send the request whole and hang up before the answer, as a broken line does."""
    body = json.dumps(WANTED).encode()
    lines = [f"POST {cms.path} HTTP/1.1", "Host: 127.0.0.1", f"Idempotency-Key: {key}", f"Content-Length: {len(body)}"]
    lines += ["Content-Type: application/json", *(f"{name}: {value}" for name, value in cms.headers.items())]
    with socket.create_connection(("127.0.0.1", cms.bath.stack.port), timeout=10) as wire:
        wire.sendall("\r\n".join([*lines, "", ""]).encode() + body)


def test_a_request_repeated_after_a_lost_answer_publishes_once(cms: Cms) -> None:
    send_and_hang_up(cms, "opening-1")
    cms.bath.stack.wait(cms.made, what="the first request is done, though nobody heard of it")
    again = cms.create(Idempotency_Key="opening-1")
    assert again.status_code == 201
    assert [(again.json()["id"], again.json()["dispatch"])] == [(one["id"], one["dispatch"]) for one in cms.made()]
    cms.mailed_once()


def test_a_request_repeated_while_the_first_is_under_way_publishes_once(cms: Cms) -> None:
    answers = at_once(
        lambda: send_and_hang_up(cms, "opening-1"), *[lambda: cms.create(Idempotency_Key="opening-1")] * 4
    )
    assert {one.status_code for one in answers[1:]} == {201}
    assert len({one.json()["dispatch"] for one in answers[1:]}) == 1
    cms.mailed_once()


def test_publishing_many_times_at_once_mails_once(cms: Cms) -> None:
    with cms.bath.stack.client(headers=cms.headers) as client:
        number = client.post(cms.path, json=WANTED | {"publish": None}).json()["id"]
    answers = at_once(*[lambda: cms.post(f"/releases/{number}/publish")] * 5)
    assert [one.status_code for one in answers] == [202] * 5
    assert len({one.text for one in answers}) == 1
    cms.mailed_once()


@contextmanager
def own(folder: Path, url: str, **given: Any) -> Iterator[Stack]:
    """An installation of the test's own."""
    broker, sink = Broker(), Sink()
    try:
        with Stack(folder, url, broker, sink, **given) as made:
            yield made
    finally:
        sink.close()
        broker.close()


@pytest.mark.storm
def test_postgresql_away_is_said_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    server = Postgres()
    try:
        with own(tmp_path / "stack", server.url(server.create())) as stack:
            stack.cli("migrate")
            stack.start()
            bath = room(stack)
            bath.import_followers(*(f"{name}@{bath.slug}.example.org" for name in FOLLOWERS))
            cms = Cms(bath)
            server.stop()
            for _ in range(3):
                away = cms.create(Idempotency_Key="opening-1")
                assert (away.status_code, away.headers["Retry-After"]) == (503, "60")
                assert away.json()["type"].endswith("#away")
            server.start()
            assert cms.create(Idempotency_Key="opening-1").status_code == 201
            assert cms.create(Idempotency_Key="opening-1").status_code == 201
            cms.mailed_once()
    finally:
        server.close()


@pytest.mark.storm
@pytest.mark.parametrize(
    ("backend", "phases"),
    [("sqlite", "fuzzing,stateful"), ("postgresql", "coverage,fuzzing,stateful")],
    indirect=["backend"],
)
def test_the_openapi_document_is_true(tmp_path: Path, backend: Backend, phases: str) -> None:
    with own(tmp_path / "stack", backend.fresh(), api_limit=1_000_000) as stack:
        stack.start("web")
        norrvik = tmp_path / "norrvik.yaml"
        norrvik.write_text("slug: norrvik\nname: Norrvik\nlanguage: sv\ntimezone: Europe/Stockholm\n")
        stack.cli("newsroom", "load", norrvik)
        cms = Cms(Room(stack, "norrvik", "Norrvik"))
        first = cms.create().json()
        assert (first["id"], first["dispatch"]) == (1, 1), "the numbers that schemathesis.toml names"
        found = subprocess.run(
            [
                *(
                    Path(sys.executable).with_name("schemathesis"),
                    "--config-file",
                    ROOT / "tests/web/api/schemathesis.toml",
                ),
                *("run", stack.url("/api/v1/openapi.json"), "-H", f"Authorization: {cms.headers['Authorization']}"),
                *("--checks", "all", "--phases", phases, "--max-examples", "20", "--seed", "1"),
                "--no-color",
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
            cwd=tmp_path,
            env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.web.api.hooks", "PYTHONPATH": str(ROOT)},
        )
        assert found.returncode == 0, f"{found.stdout[-6000:]}{found.stderr[-2000:]}\n{stack.tails()}"
        assert "7 selected / 7 total" in found.stdout
        assert "Missing test data" not in found.stdout
