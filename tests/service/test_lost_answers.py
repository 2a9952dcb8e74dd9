"""PostgreSQL does what it is asked, and the answer is lost: mail goes once all the same, and nobody is in doubt."""

import os
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from select import select
from threading import Event, Thread

import pytest
from sqlalchemy import make_url

from service import database, delivering, recovery
from service.models import Newsroom
from tests.conftest import Backend
from tests.forking import forge
from tests.servers import Sink, wait
from tests.service.press import configure, crowd, dispatched, follow, one, room, rows, the_books


class Link:
    """A way to PostgreSQL on which one answer gets lost, and its connection with it.

    It is the answer to a message with `last`, on a connection that has sent `first` before or with it. PostgreSQL gets
    that message `late` seconds after the connection was lost.
    """

    def __init__(self, port: int) -> None:
        self.port, self.first, self.last, self.late = port, b"", b"", 0.0
        self.lost = 0
        self.losing = Event()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.own_port = self._door.getsockname()[1]
        Thread(target=self._serve, daemon=True).start()

    def lose(self, first: bytes, last: bytes, late: float = 0) -> None:
        """Lose the next such answer."""
        self.first, self.last, self.late = first, last, late

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                Thread(target=self._carry, args=(self._door.accept()[0],), daemon=True).start()

    def _carry(self, asking: socket.socket) -> None:
        heard = b""
        with closing(asking), socket.create_connection(("127.0.0.1", self.port)) as answering, suppress(OSError):
            while True:
                for ready in select([asking, answering], [], [])[0]:
                    octets = ready.recv(65536)
                    if not octets:
                        return
                    if ready is answering:
                        asking.sendall(octets)
                        continue
                    heard += octets
                    if self.last and self.first in heard and self.last in octets:
                        self._lose(asking, answering, octets)
                        return
                    answering.sendall(octets)

    def _lose(self, asking: socket.socket, answering: socket.socket, octets: bytes) -> None:
        late = self.late
        self.lose(b"", b"")
        self.losing.set()
        asking.close()
        Event().wait(late)
        answering.sendall(octets)
        answering.recv(65536)
        self.lost += 1

    def close(self) -> None:
        """Let nobody in any more."""
        self._door.close()


@pytest.fixture
def link(postgresql_backend: Backend, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> Iterator[Link]:
    """The way to the database that this process's settings name; its mail goes to the sink."""
    url = postgresql_backend.fresh()
    at = make_url(url)
    made = Link(at.port or 5432)
    far = at.set(host="127.0.0.1", port=made.own_port).render_as_string(hide_password=False)
    configure(monkeypatch, database_url=far, smtp_url=sink.url, smtp_timeout=2, lease=30)
    yield made
    delivering.forget()
    database.engine(far).dispose()
    made.close()
    postgresql_backend.discard(url)


@pytest.fixture
def press(link: Link) -> Newsroom:
    return room()


LOST = {
    "a claim": (b"INSERT INTO claims", b"COMMIT"),
    "a growth": (b"UPDATE claims SET lease_until", b"COMMIT"),
    "outcomes": (b"reply_code", b"reply_code"),
    "a look": (b"enable_seqscan", b"UPDATE claims SET lease_until"),
    "a growth's lock": (b"UPDATE claims SET lease_until", b"UPDATE claims SET lease_until"),
    "an end": (b"UPDATE claims SET closed", b"COMMIT"),
}


@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("what", LOST)
def test_everyone_gets_it_once_though_the_answer_is_lost_to(
    what: str, late: float, link: Link, press: Newsroom, sink: Sink
) -> None:
    emails = crowd(press, 900)
    with database.reading() as session:
        number = dispatched(press, now=database.now(session))
    sink.behave(delay_ms=2)
    link.lose(*LOST[what], late)
    wait(lambda: delivering.deliver(number).sent == 0 and the_books(number).pending == 0)
    wait(lambda: link.lost == 1)
    assert Counter(mail.recipient for mail in sink.log()) == Counter(emails)
    found = the_books(number)
    assert (found.accepted, found.pending, found.uncertain, found.dispatch.state) == (900, 0, 0, "finished")
    assert rows("SELECT id FROM claims WHERE NOT closed") == []


def test_a_claim_that_is_committed_after_its_worker_was_killed_is_no_doubt(
    link: Link, press: Newsroom, sink: Sink, tmp_path: Path
) -> None:
    emails = crowd(press, 20)
    with database.reading() as session:
        number = dispatched(press, now=database.now(session))
    link.lose(*LOST["a claim"], 1)
    with (tmp_path / "log").open("wb") as log, Path(os.devnull).open("rb") as nothing:
        code = f"from service import delivering; delivering.deliver({number})"
        killed = forge().start(["-c", code], tmp_path, dict(os.environ), nothing, log, log)
    assert link.losing.wait(10)
    killed.kill()
    killed.wait()
    recovery.recover()
    assert link.lost == 1, "it waited for the commit"
    assert delivering.deliver(number).sent == 20
    assert Counter(mail.recipient for mail in sink.log()) == Counter(emails)
    assert rows("SELECT id FROM claims WHERE NOT closed") == []


def test_a_confirmation_waits_for_the_database_and_keeps_its_connection(
    link: Link, press: Newsroom, sink: Sink
) -> None:
    with database.reading() as session:
        now = database.now(session)
    for name in ("anna", "bosse"):
        follow(press, f"{name}@example.org", now)
    link.lose(b"JOIN newsrooms AS", b"JOIN newsrooms AS")
    assert delivering.deliver(None).sent == 2
    assert link.lost == 1
    assert [mail.recipient for mail in sink.log()] == ["anna@example.org", "bosse@example.org"]
    assert one("SELECT count(*) FROM claims") == 1
