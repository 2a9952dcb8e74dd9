"""People with an account from elsewhere: an administrator of one newsroom gets into no other by them."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from service import address, database, newsrooms, staff
from service.models import Staff
from service.states import Role
from service.web import create_app
from tests.web.conftest import rows
from tests.web.desk.conftest import PASSWORD, Person

PEOPLE, THEIRS = "/desk/norrvik/people", "/desk/karhula/people"
BOSS = "boss@example.org"
ADD = {"address": BOSS, "name": "Bo Chef", "role": "admin", "keep": "1"}


@pytest.fixture
def both(person: Callable[..., Person]) -> tuple[Person, Person]:
    """An administrator of Norrvik, and one of the neighbours."""
    return person(), person(newsroom="karhula")


def token_in(answer: Any) -> str:
    found = re.search(r"/desk/password/([\w-]+)</code>", answer.text)
    assert found, answer.text
    return found[1]


def use(token: str, password: str = PASSWORD) -> Person:
    """Choose a password by a link, as whoever holds it."""
    client = TestClient(create_app(), follow_redirects=False, raise_server_exceptions=False)
    holder, path = Person(client, BOSS), f"/desk/password/{token}"
    fields = {"csrf": holder.csrf(path), "password": password, "password-again": password}
    assert client.post(path, data=fields).status_code == 303
    return holder


def operator_adds(newsroom: str = "norrvik", role: Role = Role.ADMIN) -> staff.Added:
    with database.transaction() as session:
        room = newsrooms.get(session, newsroom)
        assert room is not None
        return staff.add(session, address.parse(BOSS), "", room, role, database.now(session))


def number() -> int:
    with database.reading() as session:
        found = staff.by_address(session, BOSS)
        assert found is not None
        return found.id


def test_whose_password_was_chosen_elsewhere_is_not_let_in_by_an_administrator(both: tuple[Person, Person]) -> None:
    mine, neighbour = both
    intruder = use(token_in(neighbour.post(THEIRS, ADD)))
    before = rows()
    refused = mine.post(PEOPLE, ADD | {"address": "BOSS@example.org"})
    assert refused.status_code == 422
    assert "utskick staff add" in refused.text
    assert rows() == before
    assert intruder.get("/desk/norrvik").status_code == 404


def test_neither_is_who_has_a_link_from_elsewhere_nor_who_had_a_role_there(both: tuple[Person, Person]) -> None:
    mine, neighbour = both
    token = token_in(neighbour.post(THEIRS, ADD))
    assert mine.post(PEOPLE, ADD).status_code == 422
    neighbour.post(f"{THEIRS}/{number()}/remove")
    assert mine.post(PEOPLE, ADD).status_code == 422
    intruder = use(token)
    assert mine.post(PEOPLE, ADD).status_code == 422
    assert intruder.get("/desk/norrvik").status_code == 404


def test_who_has_an_account_elsewhere_without_any_way_in_is_refused_too(both: tuple[Person, Person]) -> None:
    mine, neighbour = both
    neighbour.post(THEIRS, ADD)
    with database.transaction() as session:
        session.execute(update(Staff).where(Staff.address == BOSS).values(link_expires_at=database.now(session)))
    assert mine.post(PEOPLE, ADD).status_code == 422


def test_who_has_no_role_and_no_way_in_is_as_good_as_new(both: tuple[Person, Person]) -> None:
    mine, neighbour = both
    old = token_in(neighbour.post(THEIRS, ADD))
    neighbour.post(f"{THEIRS}/{number()}/remove")
    with database.transaction() as session:
        session.execute(update(Staff).where(Staff.address == BOSS).values(link_expires_at=database.now(session)))
    token = token_in(mine.post(PEOPLE, ADD))
    assert token != old
    assert use(token).get("/desk/norrvik").status_code == 200


@pytest.mark.parametrize("chosen", [True, False])
def test_the_operator_adds_them_and_every_way_in_from_elsewhere_is_closed(
    both: tuple[Person, Person], chosen: bool
) -> None:
    _, neighbour = both
    token = token_in(neighbour.post(THEIRS, ADD))
    intruder = use(token) if chosen else Person(neighbour.client, BOSS)
    added = operator_adds()
    assert added.voided
    assert intruder.client.get(f"/desk/password/{token}").status_code == 410
    assert intruder.get("/desk/norrvik").status_code != 200
    assert neighbour.post(f"{THEIRS}/{number()}/link").status_code == 403
    assert neighbour.post(THEIRS, ADD).headers["Location"].endswith("note=added-elsewhere")
    fresh = Person(TestClient(create_app(), follow_redirects=False), BOSS)
    assert fresh.log_in().status_code == 401
    rightful = use(added.token, "a password of their own")
    assert rightful.get("/desk/norrvik").status_code == 200
    assert rightful.get("/desk/karhula").status_code == 200


def test_another_role_in_the_same_newsroom_voids_nothing(both: tuple[Person, Person]) -> None:
    mine, _ = both
    member = use(token_in(mine.post(PEOPLE, ADD)))
    again = operator_adds(role=Role.PUBLISHER)
    assert (again.voided, again.token) == (False, "")
    assert mine.post(PEOPLE, ADD | {"role": "editor"}).headers["Location"].endswith("note=added")
    assert member.get("/desk/norrvik").status_code == 200
    assert member.log_in().status_code == 303
