"""Following by the API: the CMS asks, we mail, and the record keeps what was shown."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from service import database
from service.models import Consent
from tests.web.api.conftest import Program
from tests.web.api.test_door import problem
from tests.web.conftest import Follower, configure, rows

Make = Callable[..., Program]
FOLLOW = "/newsrooms/norrvik/subscriptions"


def consent() -> Consent:
    """Return the latest record."""
    with database.reading() as session:
        return session.scalars(select(Consent).order_by(Consent.id.desc()).limit(1)).one()


def test_somebody_asks_to_follow(program: Make) -> None:
    answer = program("editor").post(FOLLOW, {"email": " Maja@Example.org "})
    assert (answer.status_code, answer.json()) == (202, {"newsroom": "norrvik", "status": "accepted"})
    (pending,) = rows()["subscriptions"]
    assert "Maja@example.org" in pending
    assert "pending" in [str(value).casefold() for value in pending]
    kept = consent()
    assert kept.text.startswith("Det räcker med din adress.")
    assert kept.page == "/api/v1/newsrooms/norrvik"


def test_the_record_keeps_what_the_other_page_showed(program: Make) -> None:
    shown = {
        "consent": "Jag vill ha nyheter från Norrvik.",
        "page": "https://norrvik.example.org/press",
        "language": "fi",
    }
    assert program().post(FOLLOW, {"email": "maja@example.org", **shown}).status_code == 202
    kept = consent()
    assert (kept.text, kept.page, kept.language) == (shown["consent"], shown["page"], "fi")
    assert program().post(FOLLOW, {"email": "nils@example.org"}).status_code == 202
    assert consent().text_version != kept.text_version


def test_the_answer_is_the_same_whoever_it_is(program: Make, follower: Follower) -> None:
    assert follower
    cms = program()
    known, unknown = (cms.post(FOLLOW, {"email": f"{name}@example.org"}) for name in ("maja", "somebody"))
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)


@pytest.mark.parametrize(
    ("email", "words"),
    [
        ("", "must not be empty"),
        ("maja", "not an email address"),
        ("maja@", "not an email address"),
        ("a@example.org, b@example.org", "one address"),
        ("maja\u0000@example.org", "control characters"),
        ("måja@example.org", "ASCII"),
        ("x" * 65 + "@example.org", ""),
    ],
)
def test_addresses_that_are_none(program: Make, email: str, words: str) -> None:
    before = rows()
    told = problem(program().post(FOLLOW, {"email": email}), 422, "invalid")
    assert told["errors"][0]["pointer"] == "#/email"
    assert words in told["errors"][0]["detail"]
    assert {**rows(), "api_keys": []} == {**before, "api_keys": []}


def test_too_many_at_once(program: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, NEWSROOM_LIMIT=1)
    cms = program()
    assert cms.post(FOLLOW, {"email": "maja@example.org"}).status_code == 202
    late = cms.post(FOLLOW, {"email": "nils@example.org"})
    problem(late, 429, "too-many")
    assert int(late.headers["Retry-After"]) > 0
    assert len(rows()["subscriptions"]) == 1
