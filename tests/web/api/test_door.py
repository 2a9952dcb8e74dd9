"""The API's door: keys, limits, and whatever a program may send by mistake."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from service import database, keys, settings
from service.release_file import LONGEST_BODY
from service.web.api.problem import KINDS
from service.web.door import LARGEST_AT_DESK
from tests.web.api.conftest import BASE, Program
from tests.web.api.test_releases import BRIDGE, ROOM
from tests.web.conftest import configure, rows
from tests.web.desk.test_releases import XSS, Suspicious

Make = Callable[..., Program]
PUBLISH = f"{BASE}/releases/1/publish"


def problem(answer: Any, status: int, name: str) -> Any:
    """See that an answer is problem details of a kind, and return them."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    told = answer.json()
    assert told["type"] == f"http://127.0.0.1:8000/api/v1/problems#{name}"
    assert (told["status"], told["title"]) == (status, KINDS[name].title)
    assert told["detail"]
    assert "Traceback" not in answer.text
    return told


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("", "no-key"),
        ("Basic dXNlcjpwYXNz", "no-key"),
        ("Bearer", "no-key"),
        ("Bearer ", "no-key"),
        ("Bearer utskick_", "unknown-key"),
        ("Bearer nothing", "unknown-key"),
        ("Bearer utskick_" + "x" * 10_000, "unknown-key"),
        ("Bearer utskick_åäö", "unknown-key"),
    ],
)
def test_who_has_no_key_gets_nothing(program: Make, given: str, name: str) -> None:
    cms, before = program(), rows()
    headers = {"Authorization": given.encode()} if given else {}
    for method, path in (("GET", "/releases/1"), ("POST", ROOM), ("POST", "/releases/1/publish")):
        refused = cms.client.request(method, BASE + path, headers=headers, json=BRIDGE if method == "POST" else None)
        problem(refused, 401, name)
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert rows() == before


def test_a_revoked_key_opens_nothing(program: Make) -> None:
    cms = program()
    assert cms.get("/releases/1").status_code == 200
    with database.transaction() as session:
        assert keys.revoke(session, cms.number, database.now(session))
    problem(cms.get("/releases/1"), 401, "unknown-key")


def test_another_newsrooms_are_as_good_as_none(program: Make) -> None:
    theirs, ours = program("admin", "karhula"), program()
    dispatch = ours.post(ROOM, BRIDGE | {"publish": {}}).json()["dispatch"]
    draft = ours.post(ROOM, BRIDGE).json()["id"]
    before = rows()
    for path in (f"/releases/{draft}", f"/dispatches/{dispatch}", ROOM, "/newsrooms/nowhere/releases"):
        problem(theirs.get(path), 404, "not-found")
    for path, body in ((f"/releases/{draft}/publish", None), (ROOM, BRIDGE)):
        problem(theirs.post(path, body), 404, "not-found")
    problem(theirs.post("/newsrooms/norrvik/subscriptions", {"email": "maja@example.org"}), 404, "not-found")
    assert rows() == before


def test_a_key_is_counted_and_told_so(program: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, API_LIMIT=3)
    cms, other = program(), program()
    for left in (2, 1, 0):
        answer = cms.get("/releases/1")
        assert answer.status_code == 200
        assert answer.headers["RateLimit-Policy"] == '"key";q=3;w=60'
        assert re.fullmatch(rf'"key";r={left};t=[1-9]\d?', answer.headers["RateLimit"])
    before = rows()
    late = cms.post(ROOM, BRIDGE)
    problem(late, 429, "too-many")
    assert 1 <= int(late.headers["Retry-After"]) <= 60
    assert late.headers["RateLimit"].startswith('"key";r=0;')
    assert rows() == before
    assert other.get("/releases/1").status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        (b"{", 400, "unreadable"),
        (b"", 422, "invalid"),
        (b"\xff\xfe\x00", 400, "unreadable"),
        (b'{"headline": "\xe5"}', 400, "unreadable"),
        (b"[" * 100_000, 400, "unreadable"),
        (b'{"headline": ' + b"9" * 5000 + b"}", 400, "unreadable"),
        (b"null", 422, "invalid"),
        (b"NaN", 422, "invalid"),
        (b'{"headline": NaN}', 422, "invalid"),
        (b'{"headline": -Infinity}', 422, "invalid"),
        (b'{"headline": 1e999}', 422, "invalid"),
        (b'{"headline": "\\ud800"}', 422, "invalid"),
        (b'{"headline": "a\\u0000b"}', 422, "invalid"),
        (b'"text"', 422, "invalid"),
        (b"[]", 422, "invalid"),
        (b"{}", 422, "invalid"),
        (b'{"headline": {"a": ["b"]}}', 422, "invalid"),
        (b'{"headline": "x", "publish": true}', 422, "invalid"),
        (b'{"headline": "x", "publish": {"mail": "no"}}', 422, "invalid"),
        (b'{"headline": "x", "contacts": ["Maja"]}', 422, "invalid"),
        (b'{"headline": "x", "keywords": [[]]}', 422, "invalid"),
        (b'{"headline": "x", "state": "published"}', 422, "invalid"),
    ],
)
def test_bodies_that_do_not_fit(program: Make, body: bytes, status: int, name: str) -> None:
    cms, before = program(), rows()
    headers = cms.headers | {"Content-Type": "application/json"}
    told = problem(cms.client.post(BASE + ROOM, content=body, headers=headers), status, name)
    assert rows() == before
    if name == "invalid":
        assert told["errors"]
        for one in told["errors"]:
            assert one["pointer"].startswith("#")
            assert one["detail"]
            assert "input" not in one["detail"].casefold()


@pytest.mark.parametrize(
    ("fields", "pointer", "words"),
    [
        ({"headline": "x" * 301}, "#/headline", "at most 300 characters"),
        ({"headline": " \n "}, "#/headline", "must not be empty"),
        ({"headline": "en\nrad"}, "#/headline", "one line"),
        ({"headline": None}, "#/headline", "must be a string"),
        ({"lead": "x" * 5001}, "#/lead", "at most 5000 characters"),
        ({"slug": "Å b"}, "#/slug", "a-z, 0-9"),
        ({"language": "de"}, "#/language", "sv, fi, en"),
        ({"kind": "rant"}, "#/kind", "press-release"),
        ({"keywords": ["x"] * 31}, "#/keywords", "at most 30"),
        ({"keywords": ["ok", 7]}, "#/keywords/1", "must be a string"),
        ({"contacts": [{"name": "Maja", "email": "maja"}]}, "#/contacts/0/email", "not an email address"),
        ({"contacts": [{"role": "chef"}]}, "#/contacts/0/name", "missing"),
        ({"wat": 1}, "#/wat", "no such field"),
        ({"a/b~c": 1}, "#/a~1b~0c", "no such field"),
        ({"h%éllo w": 1}, "#/h%25%C3%A9llo%20w", "no such field"),
        ({"publish": {"at": "i morgon"}}, "#/publish/at", "2031-03-01T09:30"),
    ],
)
def test_each_field_is_told_by_its_place(program: Make, fields: dict[str, Any], pointer: str, words: str) -> None:
    before = rows()["releases"]
    told = problem(program().post(ROOM, BRIDGE | fields), 422, "invalid")
    (error,) = told["errors"]
    assert error["pointer"] == pointer
    assert words in error["detail"]
    assert rows()["releases"] == before


@pytest.mark.parametrize("headers", [{"Idempotency-Key": ""}, {"Idempotency-Key": "x" * 256}])
def test_an_idempotency_key_must_be_one(program: Make, headers: dict[str, str]) -> None:
    cms = program()
    told = problem(cms.client.post(BASE + ROOM, json=BRIDGE, headers=cms.headers | headers), 422, "invalid")
    assert [one["parameter"] for one in told["errors"]] == ["idempotency-key"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "before=0", "before=99999999999999999999"])
def test_parameters_that_do_not_fit(program: Make, query: str) -> None:
    told = problem(program().get(f"{ROOM}?{query}"), 422, "invalid")
    assert [one["parameter"] for one in told["errors"]] == [query.partition("=")[0]]


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", "9" * 30, "%00", "1%2F2", "é"])
def test_numbers_that_are_none(program: Make, number: str) -> None:
    cms = program()
    problem(cms.get(f"/releases/{number}"), 404, "not-found")
    problem(cms.get(f"/dispatches/{number}"), 404, "not-found")
    problem(cms.post(f"/releases/{number}/publish"), 404, "not-found")


def test_the_longest_text_fits(program: Make) -> None:
    body = json.dumps(BRIDGE | {"body": "😀" * LONGEST_BODY})
    assert len(body) > 2_400_000, "each letter is sent as twelve"
    cms = program()
    sent = cms.client.post(BASE + ROOM, content=body, headers=cms.headers | {"Content-Type": "application/json"})
    assert sent.status_code == 201


def test_a_large_body_is_refused(program: Make) -> None:
    cms, before = program(), rows()
    body = json.dumps(BRIDGE | {"body": "x" * LARGEST_AT_DESK})
    sent = cms.client.post(BASE + ROOM, content=body, headers=cms.headers | {"Content-Type": "application/json"})
    problem(sent, 413, "too-large")
    assert rows() == before


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_only_json_is_read(program: Make, kind: str) -> None:
    cms, before = program(), rows()
    headers = cms.headers | ({"Content-Type": kind} if kind else {})
    problem(cms.client.post(BASE + ROOM, content=json.dumps(BRIDGE), headers=headers), 415, "not-json")
    problem(cms.client.post(PUBLISH, content=b"{}", headers=headers), 415, "not-json")
    assert rows() == before


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/releases/1", "GET, HEAD, OPTIONS"),
        ("GET", "/releases/1/publish", "OPTIONS, POST"),
        ("PUT", ROOM, "GET, HEAD, OPTIONS, POST"),
        ("POST", "/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
def test_other_methods(program: Make, method: str, path: str, allowed: str) -> None:
    cms, before = program(), rows()
    answer = cms.client.request(method, BASE + path, headers=cms.headers)
    problem(answer, 405, "method")
    assert answer.headers["Allow"] == allowed
    asked = cms.client.options(BASE + path)
    assert (asked.status_code, asked.headers["Allow"]) == (204, allowed)
    assert rows() == before


def test_head_answers_as_get(program: Make) -> None:
    cms = program()
    there, none = (cms.client.head(f"{BASE}/releases/{number}", headers=cms.headers) for number in (1, 2))
    assert (there.status_code, there.content, none.status_code) == (200, b"", 404)


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v1", "/api/v2/releases/1", "/api/v1/releases", "/api/v1/nope"])
def test_what_is_not_there(program: Make, path: str) -> None:
    problem(program().client.get(path), 404, "not-found")


def test_the_database_away_is_said_and_nothing_is_lost(
    program: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cms = program()
    monkeypatch.setenv("UTSKICK_DATABASE_URL", f"sqlite:///{tmp_path}/no/such/place.db")
    settings.current.cache_clear()
    for answer in (cms.post(ROOM, BRIDGE, Idempotency_Key="x"), cms.post("/releases/1/publish"), cms.get(ROOM)):
        problem(answer, 503, "away")
        assert answer.headers["Retry-After"] == "60"
    monkeypatch.delenv("UTSKICK_DATABASE_URL")
    settings.current.cache_clear()
    assert cms.post(ROOM, BRIDGE, Idempotency_Key="x").status_code == 201


def test_what_breaks_is_logged_and_not_shown(program: Make) -> None:
    cms = program()
    with database.transaction() as session:
        session.execute(text("ALTER TABLE audit RENAME TO secret"))
    answer = cms.post(ROOM, BRIDGE)
    problem(answer, 500, "broken")
    assert "audit" not in answer.text
    assert cms.get(ROOM).json()["releases"][0]["slug"] == "bron", "nothing half done"


def test_the_kinds_of_problems_are_listed(program: Make) -> None:
    listed = program().client.get(f"{BASE}/problems").json()
    assert {name: one["status"] for name, one in listed.items()} == {name: one.status for name, one in KINDS.items()}


@pytest.mark.parametrize("payload", XSS)
def test_nothing_sent_becomes_markup(program: Make, payload: str) -> None:
    cms = program()
    fields = dict.fromkeys(("headline", "lead", "body"), payload)
    contact = {"name": payload, "role": payload, "phone": payload[:50]}
    made = cms.post(ROOM, fields | {"keywords": [payload], "contacts": [contact], "publish": {}})
    assert made.status_code == 201, made.text
    assert made.json()["headline"] == payload
    assert made.headers["Content-Type"] == "application/json"
    for page in (f"/norrvik/releases/{made.json()['slug']}", "/norrvik/releases", "/norrvik"):
        assert Suspicious(cms.client.get(page).text).found == []
