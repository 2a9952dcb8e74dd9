"""The consent record keeps the sentence that stood on the page, whatever the newsroom is called since (GDPR 7(1))."""

import hashlib
import re
import string
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
import time_machine
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from sqlalchemy import select

from service import database, newsrooms, tokens
from service.models import Consent
from service.web.consent import sentence, shown_by
from tests import any_newsroom
from tests.web.conftest import NORRVIK, WHEN, Follower, configure, expire, newsroom_of
from tests.web.desk.filled import Filled

FOLLOW = "/norrvik/subscribe"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
RENAMED = {"name: Norrviks kommun": "name: Norrviks stad", "language: sv": "language: fi\nfollow_text: Uutta."}
SPELLINGS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
MAJA = {"email": "maja@example.org"}
Open = Callable[[str], Any]


def rename() -> None:
    """Let an administrator change all that the sentence is made from."""
    written = NORRVIK
    for old, new in RENAMED.items():
        written = written.replace(old, new)
    with database.transaction() as session:
        newsrooms.load(session, newsrooms.parse_file(written, "x.yaml"), WHEN)


def said(html: str) -> str:
    """Return what a page says by the field."""
    (found,) = re.findall(r'id="email-hint">([^<]*)</p>', html)
    return unescape(found)


def at_present(language: str = "") -> tuple[str, str, str, str]:
    """Return the record of somebody whose form says nothing good about what it showed."""
    with database.reading() as session:
        room = newsroom_of(session, "norrvik")
        language = language or room.language
        return record(sentence(room, language), "/norrvik", language)


def record(text: str, page: str, language: str) -> tuple[str, str, str, str]:
    return text, hashlib.sha256(text.encode()).hexdigest()[:12], page, language


def as_kept() -> tuple[str, str, str, str]:
    """Return the latest record."""
    with database.reading() as session:
        found = session.scalars(select(Consent).order_by(Consent.id.desc()).limit(1)).one()
        return found.text, found.text_version, found.page, found.language


@pytest.fixture
def opened(site: TestClient, ask: Callable[..., Follower], follower: Follower) -> dict[str, Open]:
    """Return, for each page that has a box, its page name on record, and how it is opened."""
    late = ask()
    expire(late)
    site.post(f"/unsubscribe/{follower.leave}")
    return {
        "/norrvik": site.get,
        "/norrvik/releases/bron": site.get,
        "/confirm": lambda _: site.get(f"/confirm/{late.confirm}"),
        "/unsubscribe": lambda _: site.get(f"/unsubscribe/{follower.leave}"),
    }


@pytest.mark.parametrize("page", ["/norrvik", "/norrvik/releases/bron", "/confirm", "/unsubscribe"])
def test_what_was_shown_is_kept_though_the_newsroom_is_renamed(
    site: TestClient, opened: dict[str, Open], page: str
) -> None:
    html = opened[page](page).text
    rename()
    assert site.post(FOLLOW, data=Filled(html, FOLLOW).fields | MAJA).status_code == 202
    assert "Norrviks kommun" in said(html)
    assert as_kept() == record(said(html), page, "sv")


def test_the_answer_to_a_bad_address_shows_the_sentence_anew_and_that_one_counts(site: TestClient) -> None:
    first = Filled(site.get("/norrvik/releases/bron").text, FOLLOW).fields
    rename()
    again = site.post(FOLLOW, data=first | {"email": "maja"})
    assert again.status_code == 422
    assert "Norrviks stad" in said(again.text)
    assert site.post(FOLLOW, data=Filled(again.text, FOLLOW).fields | MAJA).status_code == 202
    assert as_kept() == record(said(again.text), "/norrvik/releases/bron", "sv")


def test_the_address_alone_is_enough(site: TestClient) -> None:
    rename()
    assert site.post(FOLLOW, data=MAJA).status_code == 202
    assert as_kept() == at_present()


def spoilt(site: TestClient) -> dict[str, str]:
    """Return tokens that are not good for Norrvik's box."""
    good = Filled(site.get("/norrvik").text, FOLLOW).fields["shown"]
    body, _, signature = good.rpartition(".")
    return {
        "empty": "",
        "cut": good[:-1],
        "longer": f"{good}A",
        "another signature": f"{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
        "another text": f"{body[:-1]}{'A' if body[-1] != 'A' else 'B'}.{signature}",
        "no signature": body,
        "another spelling": good[:-1] + SPELLINGS[SPELLINGS.index(good[-1]) ^ 1],
        "another newsroom's": Filled(site.get("/karhula").text, "/karhula/subscribe").fields["shown"],
        "for another purpose": tokens.confirm_token(1),
        "no token": "Ja, jag vill ha allt.",
        "no text": "\udcff\x00",
        "huge": "A" * 500_000,
    }


def test_a_token_that_is_not_good_counts_for_nothing(site: TestClient) -> None:
    bad = spoilt(site)
    rename()
    for number, (what, token) in enumerate(bad.items()):
        sent = urlencode({"email": f"n{number}@example.org", "shown": token}, errors="surrogateescape")
        assert site.post(FOLLOW, content=sent, headers=FORM).status_code == 202, what
        assert as_kept() == at_present(), what


def test_the_keys_may_change_meanwhile(site: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = "k" * 32, "n" * 32
    html = site.get("/norrvik").text
    rename()
    configure(monkeypatch, SECRET_KEY=f"{new},{old}")
    site.post(FOLLOW, data=Filled(html, FOLLOW).fields | MAJA)
    assert as_kept() == record(said(html), "/norrvik", "sv")
    configure(monkeypatch, SECRET_KEY=new)
    site.post(FOLLOW, data=Filled(html, FOLLOW).fields | MAJA)
    assert as_kept() == at_present("sv")  # the form says its language without a signature too


def test_the_page_is_the_same_for_everybody_and_for_years(site: TestClient, opened: dict[str, Open]) -> None:
    for path in ("/norrvik", "/norrvik/releases/bron"):
        one = site.get(path)
        with time_machine.travel("2031-05-06"):
            assert site.get(path, headers={"User-Agent": "another"}).content == one.content
        assert one.headers["Cache-Control"] == "no-cache"
        assert "Set-Cookie" not in one.headers
    for path, opening in opened.items():
        assert len(Filled(opening(path).text, FOLLOW).fields["shown"]) < 400


def test_any_text_comes_back_as_it_was_shown(site: TestClient) -> None:
    @given(any_newsroom.line(200, 1), any_newsroom.line(500))
    @limits(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    def comes_back(name: str, text: str) -> None:
        fields = {"slug": "norrvik", "name": name, "language": "sv", "timezone": "UTC", "follow_text": text}
        with database.transaction() as session:
            room = newsrooms.load(session, newsrooms.NewsroomFile.model_validate(fields), WHEN)
            expected = sentence(room, "sv")
        html = site.get("/norrvik").text
        shown = shown_by("norrvik", Filled(html, FOLLOW).fields["shown"])
        assert shown is not None
        assert shown.text == expected == said(html)

    comes_back()
