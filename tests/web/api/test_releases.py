"""Releases by the API: created, read and published, once however often a program asks."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service import database, keys, releases
from service.models import Audit, Release
from tests.web.api.conftest import Program
from tests.web.conftest import rows
from tests.web.desk.test_releases import followers

Make = Callable[..., Program]
ROOM = "/newsrooms/norrvik/releases"
BRIDGE = {
    "headline": "Bron stängs för målning",
    "lead": "Bron över älven är stängd i två veckor.",
    "body": "Bussarna går över den gamla bron.\r\n\r\nVälkommen åter!",
    "keywords": ["broar", "trafik"],
    "contacts": [{"name": "Åsa Öberg", "role": "pressansvarig", "email": "asa.oberg@norrvik.example.org"}],
}


def acts() -> list[tuple[str, str]]:
    """Return who did what, as the log has it."""
    with database.reading() as session:
        return [(one.actor, one.act) for one in session.query(Audit).order_by(Audit.id)]


def count(table: str) -> int:
    """Return how many rows there are."""
    return len(rows()[table])


def test_a_release_is_created_read_and_published(program: Make) -> None:
    cms = program()
    followers("maja@example.org", "nils@example.org")
    made = cms.post(ROOM, BRIDGE)
    assert made.status_code == 201
    draft = made.json()
    assert draft["state"] == "draft"
    assert draft["slug"] == "bron-stangs-for-malning"
    assert draft["dispatch"] is None
    assert draft["body"] == "Bussarna går över den gamla bron.\n\nVälkommen åter!"
    assert draft["contacts"][0]["phone"] == ""
    assert draft["language"] == "sv"
    assert made.headers["Location"].endswith(f"/api/v1/releases/{draft['id']}")
    assert cms.get(f"/releases/{draft['id']}").json() == draft
    assert cms.client.get("/norrvik/releases/bron-stangs-for-malning").status_code == 404, "nobody sees a draft"
    done = cms.post(f"/releases/{draft['id']}/publish")
    assert done.status_code == 202
    published = done.json()
    assert published["release"] == "norrvik/bron-stangs-for-malning"
    assert published["state"] == "published"
    assert cms.client.get("/norrvik/releases/bron-stangs-for-malning").status_code == 200
    assert cms.get(f"/releases/{draft['id']}").json()["dispatch"] == published["dispatch"]
    assert [act for _, act in acts()] == ["draft.create", "release.publish"]
    assert {actor for actor, _ in acts()} == {f"CMS ({cms.secret[:14]}…)"}


def test_publishing_again_gives_the_same_mailing(program: Make) -> None:
    cms = program()
    number = cms.post(ROOM, BRIDGE).json()["id"]
    first = cms.post(f"/releases/{number}/publish").json()
    before = rows()
    bodies: list[Any] = [None, {}, {"mail": True}, {"revision": 1}, {"at": "2999-01-01T09:00"}, {"mail": False}]
    for body in bodies:
        again = cms.post(f"/releases/{number}/publish", body)
        assert (again.status_code, again.json()) == (202, first)
    assert rows() == before


def test_one_call_creates_and_publishes(program: Make) -> None:
    followers("maja@example.org")
    made = program().post(ROOM, BRIDGE | {"publish": {}})
    assert made.status_code == 201
    assert made.json()["state"] == "published"
    assert made.json()["dispatch"] is not None
    assert [act for _, act in acts()] == ["draft.create", "release.publish"]


def test_one_call_that_cannot_publish_leaves_nothing(program: Make) -> None:
    before = rows()["releases"]
    cms = program()
    for publish, status, name in (
        ({"at": "2020-01-01T09:00"}, 422, "invalid"),
        ({"at": "2027-03-28T02:30"}, 422, "invalid"),
        ({}, 409, "empty"),
    ):
        answer = cms.post(ROOM, {"headline": "Tomt", "publish": publish}, Idempotency_Key="one")
        assert answer.status_code == status, answer.text
        assert answer.json()["type"].endswith(f"#{name}")
    assert rows()["releases"] == before
    assert cms.post(ROOM, BRIDGE, Idempotency_Key="one").status_code == 201, "a failed request keeps no key"


def test_an_editors_key_writes_and_does_not_send(program: Make) -> None:
    editor = program("editor")
    before = rows()
    refused = editor.post(ROOM, BRIDGE | {"publish": {}})
    assert refused.status_code == 403
    assert "publisher" in refused.json()["detail"]
    assert refused.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="publisher"'
    assert rows() == before
    number = editor.post(ROOM, BRIDGE).json()["id"]
    assert editor.post(f"/releases/{number}/publish").status_code == 403
    assert editor.get(f"/releases/{number}").json()["state"] == "draft"


def test_the_same_request_again_makes_one_release(program: Make) -> None:
    cms = program()
    body: dict[str, Any] = BRIDGE | {"publish": {}}
    first = cms.post(ROOM, body, Idempotency_Key="bridge-1")
    before = rows()
    again = cms.post(ROOM, dict(reversed(body.items())), Idempotency_Key="bridge-1")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Location"] == first.headers["Location"]
    assert rows() == before


def test_a_key_of_another_request_is_refused(program: Make) -> None:
    cms = program()
    cms.post(ROOM, BRIDGE, Idempotency_Key="bridge-1")
    before = rows()
    other = cms.post(ROOM, BRIDGE | {"lead": "Något annat."}, Idempotency_Key="bridge-1")
    assert other.status_code == 422
    assert other.json()["type"].endswith("#key-reused")
    assert rows() == before
    assert program("publisher").post(ROOM, BRIDGE, Idempotency_Key="bridge-1").status_code == 201, "another program's"


def test_without_a_key_each_request_makes_a_release(program: Make) -> None:
    cms = program()
    slugs = [cms.post(ROOM, BRIDGE).json()["slug"] for _ in range(3)]
    assert slugs == ["bron-stangs-for-malning", "bron-stangs-for-malning-2", "bron-stangs-for-malning-3"]


def test_a_slug_is_taken_once(program: Make) -> None:
    cms = program()
    first = cms.post(ROOM, BRIDGE | {"slug": "bron-2"})
    before = rows()
    taken = cms.post(ROOM, BRIDGE | {"slug": "bron-2"})
    assert taken.status_code == 409
    assert taken.json()["release"] == first.headers["Location"]
    assert rows() == before


def test_a_draft_that_changed_is_not_published_unseen(program: Make) -> None:
    cms = program()
    number = cms.post(ROOM, BRIDGE).json()["id"]
    with database.transaction() as session:
        session.get_one(Release, number).revision = 2
    refused = cms.post(f"/releases/{number}/publish", {"revision": 1})
    assert refused.status_code == 409
    assert "revision 2" in refused.json()["detail"]
    assert cms.post(f"/releases/{number}/publish", {"revision": 2.0}).status_code == 202


def test_a_release_is_scheduled_in_the_newsrooms_zone(program: Make) -> None:
    cms, passed = program(), datetime(2026, 1, 1, 9, 30, tzinfo=UTC)
    number = cms.post(ROOM, BRIDGE).json()["id"]
    done = cms.post(f"/releases/{number}/publish", {"at": "2031-07-01T09:30"}).json()
    assert (done["state"], done["publish_at"], done["dispatch"]) == ("scheduled", "2031-07-01T07:30:00Z", None)
    again = cms.post(f"/releases/{number}/publish", {"at": "2031-07-01T07:30:00Z"})
    assert again.json() == done
    assert [act for _, act in acts()] == ["draft.create", "release.schedule"]
    with database.transaction() as session:
        session.get_one(Release, number).publish_at = passed
    late = cms.post(f"/releases/{number}/publish", {"at": "2026-01-01T09:30Z"})  # a repeat that took its time
    assert (late.status_code, late.json()["state"]) == (202, "scheduled")
    assert cms.post(f"/releases/{number}/publish").json()["state"] == "published", "now instead"
    assert cms.post(f"/releases/{number}/publish", {"at": "2026-01-01T09:30Z"}).json()["state"] == "published"


@pytest.mark.parametrize(
    ("at", "words", "choices"),
    [
        ("2027-03-28T02:30", "does not exist", ["2027-03-28T01:30", "2027-03-28T03:30"]),
        ("2027-10-31T02:30", "twice", ["2027-10-31T02:30+02:00", "2027-10-31T02:30+01:00"]),
        ("2020-01-01T09:00", "has passed", None),
        ("2031-02-30T09:00", "not a time", []),
        ("0001-01-01T00:00", "too far", []),
    ],
)
def test_times_that_cannot_be_meant(program: Make, at: str, words: str, choices: list[str] | None) -> None:
    cms = program()
    number = cms.post(ROOM, BRIDGE).json()["id"]
    before = rows()
    for path, body, pointer in (
        (f"/releases/{number}/publish", {"at": at}, "#/at"),
        (ROOM, BRIDGE | {"publish": {"at": at}}, "#/publish/at"),
    ):
        answer = cms.post(path, body)
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["pointer"] == pointer
        assert words in error["detail"]
        assert error["choices"] == choices if choices is not None else len(error["choices"]) == 1
    assert rows() == before
    for choice in choices or []:
        assert cms.post(f"/releases/{number}/publish", {"at": choice}).status_code == 202


def test_on_the_web_only(program: Make) -> None:
    followers("maja@example.org")
    cms = program()
    made = cms.post(ROOM, BRIDGE | {"publish": {"mail": False}}).json()
    assert (made["state"], made["mailed"], made["dispatch"]) == ("published", False, None)
    assert cms.post(f"/releases/{made['id']}/publish").json()["dispatch"] is None, "and it stays so"
    assert count("dispatches") == 0


def test_a_release_for_the_web_only_stays_so_until_its_time(program: Make) -> None:
    followers("maja@example.org")
    cms = program()
    later = {"at": "2031-07-01T09:30", "mail": False}
    made = cms.post(ROOM, BRIDGE | {"publish": later}).json()
    assert (made["state"], made["mailed"]) == ("scheduled", False)
    cms.post(f"/releases/{made['id']}/publish", {"at": "2031-07-02T09:30"})
    assert cms.get(f"/releases/{made['id']}").json()["mailed"] is False
    assert cms.post(f"/releases/{made['id']}/publish", {}).json()["dispatch"] is None
    assert count("dispatches") == 0


def test_no_longer_mailed_at_the_same_time_is_taken(program: Make) -> None:
    cms = program()
    made = cms.post(ROOM, BRIDGE | {"publish": {"at": "2031-07-01T09:30"}}).json()
    assert made["mailed"] is True
    assert cms.post(f"/releases/{made['id']}/publish", {"at": "2031-07-01T09:30", "mail": False}).status_code == 202
    assert cms.get(f"/releases/{made['id']}").json()["mailed"] is False


def test_a_withdrawn_release_is_not_published_again(program: Make) -> None:
    cms = program()
    number = cms.post(ROOM, BRIDGE | {"publish": {}}).json()["id"]
    with database.transaction() as session:
        releases.withdraw(session, session.get_one(Release, number), database.now(session))
    refused = cms.post(f"/releases/{number}/publish")
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("#withdrawn")
    assert cms.get(f"/releases/{number}").json()["withdrawn_at"] is not None


def test_the_list_goes_on_by_its_next(program: Make) -> None:
    cms = program()
    made = [cms.post(ROOM, BRIDGE).json()["id"] for _ in range(5)]
    published = cms.post(f"/releases/{made[0]}/publish").json()["dispatch"]
    found: list[Any] = []
    address = f"{ROOM}?limit=2"
    while address:
        page = cms.get(address.rpartition("/api/v1")[2]).json()
        assert len(page["releases"]) <= 2
        found += page["releases"]
        address = page["next"]
    assert [one["id"] for one in found] == [*reversed(made), 1]
    assert {one["id"]: one["dispatch"] for one in found}[made[0]] == published
    assert "body" not in found[0]


def test_the_keys_of_requests_are_forgotten_after_a_week(program: Make) -> None:
    cms = program()
    cms.post(ROOM, BRIDGE, Idempotency_Key="bridge-1")
    with database.transaction() as session:
        keys.expire(session, database.now(session) + timedelta(days=6))
    assert count("creations") == 1
    with database.transaction() as session:
        keys.expire(session, database.now(session) + timedelta(days=8))
    assert count("creations") == 0


def test_books_of_a_mailing(program: Make) -> None:
    cms = program("editor")
    followers("maja@example.org", "nils@example.org")
    dispatch = program().post(ROOM, BRIDGE | {"publish": {}}).json()["dispatch"]
    found = cms.get(f"/dispatches/{dispatch}").json()
    assert (found["id"], found["release"], found["state"]) == (dispatch, "norrvik/bron-stangs-for-malning", "expanding")
    assert (found["recipients"], found["pending"], found["relay"]) == (None, 0, None)
