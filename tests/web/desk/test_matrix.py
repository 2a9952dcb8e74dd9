"""Who may do what: every route of the desk against every role, the neighbours' included.

The routes are the application's own, so one that is new and has no rule here fails the first test.
"""

import re
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from service.web import create_app
from tests.web.conftest import rows
from tests.web.desk.conftest import Person
from tests.web.desk.test_releases import TYPED, followers, revision, write

EDITOR, PUBLISHER, ADMIN, LOGGED_IN, EVERYBODY = "editor", "publisher", "admin", "logged in", "everybody"
ROOM = "/desk/{newsroom}"
RELEASE, DISPATCH, PEOPLE = f"{ROOM}/releases/{{number}}", f"{ROOM}/dispatches/{{number}}", f"{ROOM}/people"

RULES = {
    "GET /desk/": EVERYBODY,
    "GET /desk/login": EVERYBODY,
    "POST /desk/login": EVERYBODY,
    "GET /desk/password/{token}": EVERYBODY,
    "POST /desk/password/{token}": EVERYBODY,
    "POST /desk/logout": LOGGED_IN,
    "GET /desk": LOGGED_IN,
    "GET /desk/account": LOGGED_IN,
    "POST /desk/account/password": LOGGED_IN,
    "POST /desk/account/logins/{number}/end": LOGGED_IN,
    "POST /desk/account/logins/end": LOGGED_IN,
    f"GET {ROOM}": EDITOR,
    f"GET {ROOM}/releases/new": EDITOR,
    f"POST {ROOM}/releases": EDITOR,
    f"GET {RELEASE}": EDITOR,
    f"POST {RELEASE}": EDITOR,
    f"GET {RELEASE}/delete": EDITOR,
    f"POST {RELEASE}/delete": EDITOR,
    f"GET {RELEASE}/preview": EDITOR,
    f"GET {RELEASE}/preview/page": EDITOR,
    f"GET {RELEASE}/preview/mail": EDITOR,
    f"POST {RELEASE}/test": EDITOR,
    f"GET {RELEASE}/send": EDITOR,
    f"POST {RELEASE}/send": PUBLISHER,
    f"POST {RELEASE}/unschedule": PUBLISHER,
    f"GET {RELEASE}/withdraw": PUBLISHER,
    f"POST {RELEASE}/withdraw": PUBLISHER,
    f"GET {DISPATCH}": EDITOR,
    f"GET {DISPATCH}/books": EDITOR,
    f"GET {DISPATCH}/refused": EDITOR,
    f"POST {DISPATCH}/pause": PUBLISHER,
    f"POST {DISPATCH}/resume": PUBLISHER,
    f"GET {DISPATCH}/stop": PUBLISHER,
    f"POST {DISPATCH}/stop": PUBLISHER,
    f"POST {DISPATCH}/decide": PUBLISHER,
    f"GET {ROOM}/settings": ADMIN,
    f"POST {ROOM}/settings": ADMIN,
    f"GET {PEOPLE}": ADMIN,
    f"POST {PEOPLE}": ADMIN,
    f"POST {PEOPLE}/{{number}}/role": ADMIN,
    f"GET {PEOPLE}/{{number}}/remove": ADMIN,
    f"POST {PEOPLE}/{{number}}/remove": ADMIN,
    f"POST {PEOPLE}/{{number}}/link": ADMIN,
    f"POST {PEOPLE}/keys": ADMIN,
    f"GET {PEOPLE}/keys/{{number}}/revoke": ADMIN,
    f"POST {PEOPLE}/keys/{{number}}/revoke": ADMIN,
    f"GET {ROOM}/log": ADMIN,
}
"""The least that each route asks for."""


def create_app_client() -> TestClient:
    """Return a browser that is not logged in."""
    return TestClient(create_app(), follow_redirects=False, raise_server_exceptions=False)


RANKS = [EDITOR, PUBLISHER, ADMIN]


def test_every_route_has_a_rule_and_every_rule_a_route() -> None:
    found = create_app().state.known_routes
    ours = [route for route in found if route.path.startswith("/desk")]
    assert {f"{method} {route.path}" for route in ours for method in route.methods} == set(RULES)


@pytest.fixture
def people(person: Callable[..., Person]) -> dict[str, Person]:
    """Somebody in each role in Norrvik, an administrator of the neighbours, and nobody."""
    made = {role: person(role) for role in RANKS}
    made["neighbour"] = person(ADMIN, "karhula")
    return made


def prepared(people: dict[str, Person]) -> dict[str, str]:
    """Make one of everything in Norrvik; return the numbers by the part of a path that they stand behind."""
    followers("maja@example.org", "nils@example.org")
    publisher, admin = people[PUBLISHER], people[ADMIN]
    sent, draft = write(publisher, headline="Skickat"), write(publisher)
    answer = publisher.post(f"{sent}/send", {"revision": revision(publisher, f"{sent}/send")})
    dispatch = re.search(r"dispatches/(\d+)", answer.headers["Location"])
    assert dispatch
    admin.post("/desk/norrvik/people/keys", {"key-name": "CMS", "key-role": "editor"}, "/desk/norrvik/people")
    key = rows()["api_keys"][0][0]
    member = next(row[0] for row in rows()["staff"] if row[1] == people[EDITOR].email)
    return {
        "releases": draft.rpartition("/")[2],
        "dispatches": dispatch[1],
        "people": str(member),
        "keys": str(key),
        "logins": "1",
    }


def path_of(rule: str, numbers: dict[str, str], newsroom: str) -> tuple[str, str]:
    """Return method and path of a route with real numbers in it."""
    method, path = rule.split(" ")
    path = path.replace("{newsroom}", newsroom)
    part = re.search(r"/([a-z]+)/\{number\}", path)
    return method, path.replace("{number}", numbers[part[1]]) if part else path


def ask(who: Person, method: str, path: str, page: str = "/desk/account") -> int:
    """Send what the route asks for, as far as being let in goes."""
    if method == "GET":
        return int(who.get(path).status_code)
    fields = TYPED | {"revision": "1", "role": "editor", "key-name": "x", "key-role": "editor", "resend": "no"}
    return int(who.post(path, fields, page).status_code)


@pytest.mark.parametrize("rule", [rule for rule, least in RULES.items() if least in RANKS])
def test_each_role_may_do_its_own_and_no_more(people: dict[str, Person], rule: str) -> None:
    numbers = prepared(people)
    least = RULES[rule]
    method, path = path_of(rule, numbers, "norrvik")
    before = rows()
    people["nobody"] = Person(create_app_client(), "nobody@example.org")
    assert people["nobody"].client.request(method, path).status_code in (303, 401)
    for role in RANKS[: RANKS.index(least)]:
        assert ask(people[role], method, path) == 403, role
    assert ask(people["neighbour"], method, path) == 404
    theirs = path_of(rule, numbers, "karhula")[1]
    if "{number}" in rule:
        assert ask(people["neighbour"], method, theirs) == 404, "another newsroom's number"
    assert rows() == before
    for role in RANKS[RANKS.index(least) :]:
        assert ask(people[role], method, path) in (200, 303, 404, 409, 422), role
        if role == least:
            assert ask(people[role], method, path) not in (401, 403)


@pytest.mark.parametrize("rule", [rule for rule, least in RULES.items() if least == LOGGED_IN])
def test_the_rest_asks_to_log_in(people: dict[str, Person], rule: str) -> None:
    method, path = path_of(rule, {"logins": "1"}, "norrvik")
    before = rows()
    assert Person(create_app_client(), "nobody@example.org").client.request(method, path).status_code in (303, 401)
    assert rows() == before
    assert ask(people[EDITOR], method, path) in (200, 303, 422)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.startswith("GET")])
def test_looking_changes_nothing(people: dict[str, Person], rule: str) -> None:
    numbers = prepared(people)
    _, path = path_of(rule, numbers, "norrvik")
    before = rows()
    for method in ("GET", "HEAD", "OPTIONS"):
        people[ADMIN].client.request(method, path.replace("{token}", "none"))
    assert rows() == before


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.startswith("POST") and RULES[rule] != EVERYBODY])
def test_every_form_needs_its_proof(people: dict[str, Person], rule: str) -> None:
    numbers = prepared(people)
    _, path = path_of(rule, numbers, "norrvik")
    before = rows()
    for proof in ({}, {"csrf": "0" * 64}, {"csrf": people["neighbour"].csrf("/desk/account")}):
        assert people[ADMIN].client.post(path, data=TYPED | {"role": "editor"} | proof).status_code == 403
    assert rows() == before
