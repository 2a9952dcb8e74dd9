"""The real site with keys to its newsrooms, as a CMS has them."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service import database, keys, newsrooms
from service.states import Role

BASE = "/api/v1"


class Program:
    """A program with a key: what it sends is JSON."""

    def __init__(self, client: TestClient, secret: str, number: int) -> None:
        self.client: Any = client
        self.secret, self.number = secret, number

    @property
    def headers(self) -> dict[str, str]:
        """What it sends with every request."""
        return {"Authorization": f"Bearer {self.secret}"}

    def get(self, path: str) -> Any:
        """Read something."""
        return self.client.get(BASE + path, headers=self.headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """Send something; `Idempotency_Key="x"` is a header."""
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(BASE + path, json=body, headers=sent)


def key_to(newsroom: str, role: str, name: str = "CMS") -> tuple[str, int]:
    """Make a key; return its text and its number."""
    with database.transaction() as session:
        room = newsrooms.get(session, newsroom)
        assert room is not None
        made, secret = keys.make(session, room, Role(role), name, database.now(session))
        return secret, made.id


@pytest.fixture
def program(site: TestClient) -> Callable[..., Program]:
    """Return a program with a key to a newsroom in a role."""

    def make(role: str = "publisher", newsroom: str = "norrvik") -> Program:
        return Program(site, *key_to(newsroom, role))

    return make
