"""A password that is reset opens nothing any more, at whatever moment that happens."""

import re
from collections.abc import Callable
from threading import Lock
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import event, select

from service import database, settings, staff
from service.models import Audit, Login
from service.web import create_app
from tests.web.desk.conftest import PASSWORD, Person, hire

FRESH = "the password of the reset"
OTHER = "another password entirely"


def link(email: str) -> str:
    with database.transaction() as session:
        known = staff.by_address(session, email)
        assert known is not None
        return staff.new_link(session, known, database.now(session))


def resetting(email: str) -> Callable[[], None]:
    """Return what resets somebody's password by a link."""
    token, hashed = link(email), staff.hashed(FRESH)

    def reset() -> None:
        with database.transaction() as session:
            assert staff.set_by_link(session, token, hashed, database.now(session)) is not None

    return reset


def once_after(words: str, act: Callable[[], None]) -> list[str]:
    """Do something, once, as soon as a statement with these words has been run; return the list of those that were."""
    seen: list[str] = []

    def look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not seen and re.search(words, statement):
            seen.append(statement)
            act()

    event.listen(database.engine(settings.current().database), "after_cursor_execute", look)
    return seen


def browser() -> TestClient:
    return TestClient(create_app(), follow_redirects=False, raise_server_exceptions=False)


def logins() -> list[Login]:
    with database.reading() as session:
        return list(session.scalars(select(Login)))


def test_the_old_password_opens_nothing_that_a_reset_has_overtaken(site: TestClient) -> None:
    hire("known@example.org")
    someone = Person(browser(), "known@example.org")
    proof = someone.csrf("/desk/login")
    done = once_after(r"FROM staff\s+WHERE staff.address_hash", resetting(someone.email))
    fields = {"csrf": proof, "address": someone.email, "password": PASSWORD}
    assert someone.client.post("/desk/login", data=fields).status_code == 401
    assert done
    assert logins() == []
    with database.reading() as session:
        assert "login" not in session.scalars(select(Audit.act)).all()
    assert someone.log_in(FRESH).status_code == 303


def test_a_link_s_password_opens_nothing_that_the_next_reset_has_overtaken(site: TestClient) -> None:
    hire("known@example.org")
    someone, hashed = Person(browser(), "known@example.org"), staff.hashed(FRESH)
    path = f"/desk/password/{link(someone.email)}"
    fields = {"csrf": someone.csrf(path), "password": OTHER, "password-again": OTHER}
    busy, links = Lock(), list[str]()

    def reset(*_: Any) -> None:
        if links or not busy.acquire(blocking=False):  # our own connections come back here too
            return
        with database.reading() as session:
            known = staff.by_address(session, someone.email)
        if known is not None and known.link_hash is None:
            links.append(link(someone.email))
            with database.transaction() as session:
                assert staff.set_by_link(session, links[0], hashed, database.now(session)) is not None
        busy.release()

    event.listen(database.engine(settings.current().database).pool, "checkin", reset)  # between two transactions
    assert someone.client.post(path, data=fields).status_code == 410
    assert links
    assert logins() == []
    assert someone.log_in(FRESH).status_code == 303


def test_changing_the_password_overwrites_no_reset(person: Callable[..., Person]) -> None:
    someone = person()
    proof = someone.csrf("/desk/account")
    done = once_after(r"FROM logins", resetting(someone.email))
    fields = {"csrf": proof, "password": PASSWORD, "password-new": OTHER, "password-again": OTHER}
    answer = someone.client.post("/desk/account/password", data=fields)
    assert answer.status_code == 401
    assert done
    assert logins() == []
    assert someone.log_in(OTHER).status_code == 401
    assert someone.log_in(FRESH).status_code == 303


def test_changing_the_password_uses_an_open_link_up(person: Callable[..., Person]) -> None:
    someone = person()
    path = f"/desk/password/{link(someone.email)}"
    assert someone.get(path).status_code == 200
    fields = {"password": PASSWORD, "password-new": OTHER, "password-again": OTHER}
    assert someone.post("/desk/account/password", fields).status_code == 303
    assert someone.get(path).status_code == 410
