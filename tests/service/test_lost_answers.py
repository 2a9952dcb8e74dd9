"""PostgreSQL does what it is asked, and the answer is lost: mail goes once all the same, and nobody is in doubt."""

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from select import select
from threading import Thread

import pytest
from sqlalchemy import make_url

from service import database, delivering
from service.models import Newsroom
from tests.conftest import Backend
from tests.servers import Sink
from tests.service.press import configure, crowd, dispatched, follow, one, room, rows, the_books


class Link:
    """A way to PostgreSQL on which one answer gets lost, and its connection with it.

    It is the answer to a message with `last`, on a connection that has sent `first` before or with it.
    """

    def __init__(self, port: int) -> None:
        self.port, self.first, self.last = port, b"", b""
        self.lost = 0
        self._door = socket.create_server(("127.0.0.1", 0))
        self.own_port = self._door.getsockname()[1]
        Thread(target=self._serve, daemon=True).start()

    def lose(self, first: bytes, last: bytes) -> None:
        """Lose the next such answer."""
        self.first, self.last = first, last

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
                    due = self.last and self.first in heard and self.last in octets
                    if due:
                        self.lose(b"", b"")
                    answering.sendall(octets)
                    if due:
                        answering.recv(65536)
                        self.lost += 1
                        return

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
    "a look": (b"UPDATE claims SET lease_until", b"UPDATE claims SET lease_until"),
    "an end": (b"UPDATE claims SET closed", b"COMMIT"),
}


@pytest.mark.parametrize("what", LOST)
def test_everyone_gets_it_once_though_the_answer_is_lost_to(what: str, link: Link, press: Newsroom, sink: Sink) -> None:
    emails = crowd(press, 900)
    with database.reading() as session:
        number = dispatched(press, now=database.now(session))
    sink.behave(delay_ms=2)
    link.lose(*LOST[what])
    while delivering.deliver(number).again:
        pass
    assert link.lost == 1
    assert Counter(mail.recipient for mail in sink.log()) == Counter(emails)
    found = the_books(number)
    assert (found.accepted, found.pending, found.uncertain, found.dispatch.state) == (900, 0, 0, "finished")
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
