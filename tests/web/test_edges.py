"""The edges: headers, methods, errors, the log, signs of life, the catalogues."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po
from fastapi import FastAPI
from fastapi.testclient import TestClient
from structlog.testing import capture_logs

from service import database, settings
from service.web import create_app, door
from service.web.__main__ import main
from service.web.desk.problems import OTHER, SAID
from service.web.desk.sending import MOMENTS, REFUSALS

from .conftest import Follower, configure, rows

CODE = Path(__file__).parents[2]
CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
PATHS = (
    "/",
    "/norrvik",
    "/norrvik/releases",
    "/norrvik/releases/bron",
    "/norrvik/privacy",
    "/norrvik/look.css",
    "/healthz",
    "/readyz",
    "/robots.txt",
    "/favicon.ico",
    "/nowhere",
    "/confirm/x",
)


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_headers_and_no_cookie(site: TestClient, path: str) -> None:
    answer = site.get(path)
    assert answer.headers["Content-Security-Policy"] == CSP
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Referrer-Policy" in answer.headers
    assert "Permissions-Policy" in answer.headers
    assert "Set-Cookie" not in answer.headers
    assert "Strict-Transport-Security" not in answer.headers
    assert "<script" not in answer.text
    assert "style=" not in answer.text


def test_https_site_asks_for_https_only(site: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, BASE_URL="https://press.example.org", SMTP_URL="smtp://127.0.0.1:1")
    assert "max-age" in TestClient(create_app()).get("/norrvik").headers["Strict-Transport-Security"]


@pytest.mark.parametrize("path", PATHS)
def test_head_answers_as_get_and_options_names_the_methods(site: TestClient, path: str) -> None:
    before = rows()
    got, head, options = (site.request(method, path) for method in ("GET", "HEAD", "OPTIONS"))
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["Content-Type"] == got.headers["Content-Type"]
    assert (options.status_code, options.content) == (204, b"")
    assert "GET, HEAD" in options.headers["Allow"]
    assert rows() == before


def test_method_that_is_not_there(site: TestClient) -> None:
    answer = site.post("/norrvik")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert "Det går inte att göra här" in answer.text
    assert site.get("/norrvik/subscribe").headers["Allow"] == "OPTIONS, POST"
    assert site.delete("/confirm/x").headers["Allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize(
    ("path", "accept", "words"),
    [
        ("/norrvik/nothing", "en", "Sidan finns inte"),
        ("/karhula/releases/nothing", "en", "Sivua ei löydy"),
        ("/nowhere", "fi", "Sivua ei löydy"),
        ("/nowhere/at/all", "sv-FI", "Sidan finns inte"),
        ("/nowhere", "", "The page does not exist"),
        ("/login", "xx", "The page does not exist"),
        ("/norrvik%00", "en", "The page does not exist"),
        ("/docs", "en", "The page does not exist"),
        ("/openapi.json", "en", "The page does not exist"),
        ("/norrvik/feed.atom", "en", "Sidan finns inte"),
    ],
)
def test_missing_pages_speak_the_right_language(site: TestClient, path: str, accept: str, words: str) -> None:
    page = site.get(path, headers={"Accept-Language": accept})
    assert page.status_code == 404
    assert words in page.text


def test_database_away_is_said_and_nothing_is_lost(
    site: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, follower: Follower
) -> None:
    monkeypatch.setenv("UTSKICK_DATABASE_URL", f"sqlite:///{tmp_path}/no/such/place.db")
    settings.current.cache_clear()
    for answer in (
        site.post("/norrvik/subscribe", data={"email": "n@example.org"}),
        site.get("/norrvik"),
        site.post(f"/unsubscribe/{follower.leave}"),
    ):
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "60"
        assert "It does not work just now" in answer.text
    assert site.get("/readyz").status_code == 503
    assert site.get("/healthz").status_code == 200
    monkeypatch.delenv("UTSKICK_DATABASE_URL")
    settings.current.cache_clear()
    assert site.post(f"/unsubscribe/{follower.leave}").status_code == 200


def test_database_locked_is_said_in_the_newsrooms_language(site: TestClient) -> None:
    holder = sqlite3.connect(settings.current().var_dir / "utskick.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert site.get("/norrvik").status_code == 200
        answer = site.post("/norrvik/subscribe", data={"email": "maja@example.org"})
    finally:
        holder.close()
    assert answer.status_code == 503
    assert "Inget har sparats. Försök igen om en minut." in answer.text
    assert site.post("/norrvik/subscribe", data={"email": "maja@example.org"}).status_code == 202


def broken_site() -> TestClient:
    app: FastAPI = create_app()

    @app.get("/broken/{token}")
    def broken(token: str) -> None:
        raise RuntimeError(f"no good: {token} maja@example.org")

    return TestClient(app, raise_server_exceptions=False)


def test_failure_shows_a_page_and_logs_the_reason_without_addresses(site: TestClient) -> None:
    with capture_logs() as written:
        answer = broken_site().get("/broken/sesame", headers={"Accept-Language": "sv"})
    assert answer.status_code == 500
    assert "Något gick fel hos oss" in answer.text
    assert "RuntimeError" not in answer.text
    assert answer.headers["Content-Security-Policy"] == CSP
    failed = next(line for line in written if line["event"] == "failed")
    assert "RuntimeError" in failed["trace"]
    assert "maja@" not in failed["trace"]


def test_log_holds_routes_never_tokens_or_addresses(site: TestClient, follower: Follower) -> None:
    with capture_logs() as written:
        site.get(f"/confirm/{follower.confirm}?email=maja@example.org")
        site.post(f"/unsubscribe/{follower.leave}")
        site.post("/norrvik/subscribe", data={"email": "maja@example.org"})
    routes = [line["route"] for line in written if line["event"] == "answered"]
    assert routes == ["/confirm/{token}", "/unsubscribe/{token}", "/{slug}/subscribe"]
    for secret in (follower.confirm, follower.leave, "maja", "testclient"):
        assert secret not in str(written)


def test_signs_of_life(site: TestClient) -> None:
    assert site.get("/healthz").json() == {"status": "alive"}
    ready = site.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")


def test_pages_name_nothing_from_elsewhere(site: TestClient) -> None:
    for path in ("/norrvik", "/norrvik/releases/bron"):
        text = site.get(path).text
        for attribute in ('src="', 'rel="stylesheet" href="', 'rel="icon" href="'):
            assert all(found.startswith("/") for found in text.split(attribute)[1:]), path
    assert "url(" not in "".join(door.HEADERS.values())


def test_web_will_not_start_on_an_old_database(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 1
    said = capsys.readouterr().err
    assert "utskick migrate" in said
    assert said.count("\n") == 1


def test_web_will_not_start_without_its_keys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database.migrate()
    monkeypatch.delenv("UTSKICK_SECRET_KEY")
    settings.current.cache_clear()
    assert main() == 1
    assert "UTSKICK_SECRET_KEY is needed" in capsys.readouterr().err


def used() -> set[str | tuple[str, ...]]:
    """Return every message of the pages and of the code behind them."""
    found: set[str | tuple[str, ...]] = set()
    for path in sorted((settings.ROOT / "templates/pages").glob("*.html")):
        found |= {message for _, message, _, _ in extract_from_file("jinja2.ext:babel_extract", path)}
    for path in sorted((CODE / "service/web").glob("*.py")):
        said = extract_from_file("python", path, keywords={"translate": (2,), "translate_count": (2, 3)})
        found |= {message for _, message, _, _ in said}
    return found


def said_at_the_desk() -> set[str | tuple[str, ...]]:
    """Return what the desk says: in its templates, in its code, and in the tables that its code looks up."""
    found: set[str | tuple[str, ...]] = {*MOMENTS.values(), *REFUSALS.values(), *SAID.values(), OTHER}
    for path in sorted((settings.ROOT / "templates/desk").glob("*.html")):
        found |= {message for _, message, _, _ in extract_from_file("jinja2.ext:babel_extract", path)}
    for path in sorted((CODE / "service/web/desk").glob("*.py")):
        said = extract_from_file("python", path, keywords={"translate": (2,), "say": (2,)})
        found |= {message for _, message, _, _ in said}
    return found | {"Another release already has this address. Choose another, or leave the field empty for a new one."}


@pytest.mark.parametrize("language", ["sv", "fi"])
def test_the_desk_has_all_its_words(language: str) -> None:
    folder, catalogue, own = CODE / f"service/locale/{language}", dict[Any, Any](), set[Any]()
    for path in (folder / "pages.po", *folder.glob("desk*.po")):
        with path.open("rb") as file:
            found = {message.id: message for message in read_po(file, locale=language) if message.id}
        catalogue |= found
        own |= set(found) if path.name != "pages.po" else set()
    wanted = said_at_the_desk()
    assert wanted - set(catalogue) == set()
    assert own - wanted == set()
    for message in catalogue.values():
        assert all(message.string if isinstance(message.string, (list, tuple)) else [message.string]), message.id


@pytest.mark.parametrize("language", ["sv", "fi"])
def test_catalogue_is_complete_and_holds_nothing_else(language: str) -> None:
    with (CODE / f"service/locale/{language}/pages.po").open("rb") as file:
        catalogue = {message.id: message for message in read_po(file, locale=language) if message.id}
    assert set(catalogue) == used()
    for message in catalogue.values():
        assert all(message.string if isinstance(message.string, (list, tuple)) else [message.string]), message.id
        assert not message.fuzzy
        assert not message.check(), message.id
