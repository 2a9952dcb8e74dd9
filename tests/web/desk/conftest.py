"""The real site with people at its desk, each in a browser of their own."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service import address, database, newsrooms, staff
from service.states import Role
from service.web import create_app

PASSWORD = "a password of the tests"


class Person:
    """One of the staff with a browser: forms are read from the page before they are sent, as a browser does."""

    def __init__(self, client: TestClient, email: str) -> None:
        self.client: Any = client
        self.email = email

    def get(self, path: str) -> Any:
        """Open a page."""
        return self.client.get(path)

    def csrf(self, path: str) -> str:
        """Return what the forms of a page carry."""
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.get(path).text)
        assert found, path
        return found[1]

    def post(self, path: str, fields: dict[str, Any] | None = None, page: str = "/desk/account") -> Any:
        """Send a form of ours, with the proof that a page of theirs holds."""
        return self.client.post(path, data={"csrf": self.csrf(page), **(fields or {})})

    def log_in(self, password: str = PASSWORD) -> Any:
        """Log in by the form."""
        return self.client.post(
            "/desk/login",
            data={"csrf": self.csrf("/desk/login"), "address": self.email, "password": password},
        )


def hire(email: str, newsroom: str = "norrvik", role: str = "admin", name: str = "") -> None:
    """Add somebody with a password."""
    with database.transaction() as session:
        room = newsrooms.get(session, newsroom)
        assert room is not None
        now = database.now(session)
        added = staff.add(session, address.parse(email), name, room, Role(role), now)
        if added.token:
            assert staff.set_by_link(session, added.token, staff.hashed(PASSWORD), now) is not None


@pytest.fixture
def person(site: TestClient) -> Callable[..., Person]:
    """Return somebody who is logged in, in a newsroom in a role."""

    def make(role: str = "admin", newsroom: str = "norrvik", email: str = "") -> Person:
        email = email or f"{role}.{newsroom}@example.org"
        hire(email, newsroom, role)
        client = TestClient(create_app(), follow_redirects=False, raise_server_exceptions=False)
        made = Person(client, email)
        answer = made.log_in()
        assert answer.status_code == 303, answer.text
        return made

    return make
