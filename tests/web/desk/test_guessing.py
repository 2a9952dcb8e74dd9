"""Guessing passwords is slowed down where it is done, and locks nobody out elsewhere."""

import pytest
from fastapi.testclient import TestClient

from service import limits
from service.web import create_app
from tests.web.desk.conftest import PASSWORD, Person, hire

KNOWN = "known@example.org"


def at(network: int, email: str = KNOWN) -> Person:
    """Return somebody with a browser in a network."""
    app = create_app()
    return Person(TestClient(app, follow_redirects=False, client=(f"192.0.{network}.7", 50000)), email)


def guess(guesser: Person, times: int, email: str = KNOWN) -> set[int]:
    fields = {"csrf": guesser.csrf("/desk/login"), "address": email, "password": "wrong"}
    return {guesser.client.post("/desk/login", data=fields).status_code for _ in range(times)}


@pytest.fixture(autouse=True)
def _known(site: TestClient) -> None:
    hire(KNOWN)


def test_one_machine_locks_nobody_out_elsewhere() -> None:
    guesser = at(1)
    assert guess(guesser, limits.LOGINS_THERE) == {401}
    assert guess(guesser, limits.LOGINS_OF_ONE + 1) == {429}
    assert at(1).log_in(PASSWORD).status_code == 429
    assert at(2).log_in(PASSWORD).status_code == 303


def test_nor_a_colleague_in_the_same_network() -> None:
    hire("colleague@example.org")
    guess(at(1), limits.LOGINS_OF_NETWORK + 1)
    assert at(1, "colleague@example.org").log_in(PASSWORD).status_code == 303


def test_guessing_at_one_from_many_networks_and_at_many_from_one_is_slowed_down_too() -> None:
    for network in range(10):
        assert guess(at(network), limits.LOGINS_THERE) == {401}
    assert at(99).log_in(PASSWORD).status_code == 429
    for number in range(6):
        assert guess(at(50), limits.LOGINS_THERE, f"{number}@example.org") == {401}
    assert guess(at(50), 1, "another@example.org") == {429}
