"""Which key may do what: every route of the API against every role, the neighbours' included.

The routes are the application's own, so one that is new and has no rule here fails the first test.
"""

from collections.abc import Callable

import pytest

from service.web import create_app
from tests.web.api.conftest import Program
from tests.web.conftest import rows
from tests.web.desk.test_releases import followers

EDITOR, PUBLISHER, ADMIN, EVERYBODY = "editor", "publisher", "admin", "everybody"
RANKS = [EDITOR, PUBLISHER, ADMIN]
ROOM = "/api/v1/newsrooms/{newsroom}"

RULES = {
    "GET /api/v1/openapi.json": EVERYBODY,
    "GET /api/v1/problems": EVERYBODY,
    f"POST {ROOM}/subscriptions": EDITOR,
    f"GET {ROOM}/releases": EDITOR,
    f"POST {ROOM}/releases": EDITOR,
    "GET /api/v1/releases/{release}": EDITOR,
    "POST /api/v1/releases/{release}/publish": PUBLISHER,
    "GET /api/v1/dispatches/{dispatch}": EDITOR,
}
"""The least that each route asks for."""

BODIES = {
    f"POST {ROOM}/subscriptions": {"email": "new@example.org"},
    f"POST {ROOM}/releases": {"headline": "Nytt", "lead": "Något nytt."},
}
OURS = [rule for rule, least in RULES.items() if least in RANKS]


def test_every_route_has_a_rule_and_every_rule_a_route() -> None:
    ours = [route for route in create_app().state.known_routes if route.path.startswith("/api")]
    assert {f"{method} {route.path}" for route in ours for method in route.methods} == set(RULES)


@pytest.fixture
def programs(program: Callable[..., Program]) -> dict[str, Program]:
    """A key of each role to Norrvik, and one of the neighbours' administrator."""
    return {role: program(role) for role in RANKS} | {"neighbour": program(ADMIN, "karhula")}


def prepared(programs: dict[str, Program]) -> dict[str, int]:
    """Make one of everything in Norrvik; return the numbers by what a path calls them."""
    followers("maja@example.org")
    publisher = programs[PUBLISHER]
    wanted = {"headline": "Utkast", "lead": "Text."}
    sent = publisher.post("/newsrooms/norrvik/releases", wanted | {"publish": {}}).json()
    draft = publisher.post("/newsrooms/norrvik/releases", wanted).json()
    return {"release": draft["id"], "dispatch": sent["dispatch"]}


def ask(who: Program, rule: str, numbers: dict[str, int], newsroom: str = "norrvik") -> int:
    """Send what a route asks for; return the status."""
    method, path = rule.split(" ")
    path = path.removeprefix("/api/v1").format(newsroom=newsroom, **numbers)
    return int((who.get(path) if method == "GET" else who.post(path, BODIES.get(rule))).status_code)


@pytest.mark.parametrize("rule", OURS)
def test_each_key_may_do_its_own_and_no_more(programs: dict[str, Program], rule: str) -> None:
    numbers, least = prepared(programs), RULES[rule]
    before = rows()
    nobody = Program(programs[ADMIN].client, "utskick_wrong", 0)
    assert ask(nobody, rule, numbers) == 401
    for role in RANKS[: RANKS.index(least)]:
        assert ask(programs[role], rule, numbers) == 403, role
    assert ask(programs["neighbour"], rule, numbers) == 404
    assert rows() == before
    for role in RANKS[RANKS.index(least) :]:
        assert ask(programs[role], rule, numbers) in (200, 201, 202), role


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.startswith("GET")])
def test_looking_changes_nothing(programs: dict[str, Program], rule: str) -> None:
    numbers = prepared(programs)
    path = rule.removeprefix("GET ").format(newsroom="norrvik", **numbers)
    before = rows()
    for method in ("GET", "HEAD", "OPTIONS"):
        answer = programs[ADMIN].client.request(method, path, headers=programs[ADMIN].headers)
        assert answer.status_code in (200, 204)
    assert rows() == before


@pytest.mark.parametrize("rule", [rule for rule, least in RULES.items() if least == EVERYBODY])
def test_the_rest_is_for_everybody(programs: dict[str, Program], rule: str) -> None:
    assert programs[ADMIN].client.get(rule.removeprefix("GET ")).status_code == 200
