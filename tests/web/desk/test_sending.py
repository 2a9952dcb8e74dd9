"""The send page: to how many, from whom, when; and what is said where it cannot be."""

import re
from collections.abc import Callable

import pytest

from service import database, relay
from service.states import ReleaseState
from tests.web.conftest import rows
from tests.web.desk.conftest import Person
from tests.web.desk.test_releases import ROOM, acts, dispatches, followers, released, revision, write


def later(publisher: Person, path: str, date: str = "", time: str = "", choice: str = "") -> dict[str, str]:
    fields = {"revision": revision(publisher, path), "when": "later", "date": date, "time": time, "choice": choice}
    return {name: value for name, value in fields.items() if value}


def test_looking_changes_nothing_and_an_editor_is_told_who_sends(person: Callable[..., Person]) -> None:
    editor, publisher = person("editor"), person("publisher")
    path = write(editor)
    before = rows()
    assert "En publicist" in editor.get(f"{path}/send").text
    assert "<button" in publisher.get(f"{path}/send").text.partition("<main")[2]
    assert "<button" not in editor.get(f"{path}/send").text.partition("<main")[2]
    assert rows() == before


def test_without_followers_it_is_published_on_the_web(person: Callable[..., Person]) -> None:
    publisher = person("publisher")
    path = write(publisher)
    page = publisher.get(f"{path}/send").text
    assert "<button>Publicera</button>" in page
    sent = publisher.post(f"{path}/send", {"revision": revision(publisher, path)})
    assert sent.headers["Location"].endswith("?note=on-the-web")
    assert publisher.get(sent.headers["Location"]).status_code == 200
    assert publisher.get("/norrvik/releases/ny-bro-over-alven").status_code == 200


@pytest.mark.parametrize(
    ("date", "time", "fits"),
    [
        ("2035-03-01", "09:30", True),
        ("2035-03-01", "9.30", True),
        (" 2035-03-01 ", " 9:30 ", True),
        ("2035-03-01", "", False),
        ("2035-03-01", "9", False),
        ("2035-02-30", "09:30", False),
        ("1/3 2035", "09:30", False),
        ("\x00", "\x00", False),
        ("9" * 5000, "1", False),
    ],
)
def test_a_time_is_read_as_it_is_written_or_refused_as_typed(
    person: Callable[..., Person], date: str, time: str, fits: bool
) -> None:
    publisher = person("publisher")
    path = write(publisher)
    answer = publisher.post(f"{path}/send", later(publisher, path, date, time))
    assert answer.status_code == (303 if fits else 422)
    if fits:
        assert answer.headers["Location"] == f"{path}?note=scheduled"
        moment = released().publish_at
        assert moment is not None
        assert moment.isoformat() == "2035-03-01T08:30:00+00:00"
    else:
        assert f'value="{date}"' in answer.text
        assert released().state is ReleaseState.DRAFT


def test_the_alternatives_are_buttons_in_full_words(person: Callable[..., Person]) -> None:
    publisher = person("publisher")
    path = write(publisher)
    twice = publisher.post(f"{path}/send", later(publisher, path, "2030-10-27", "02:30")).text
    for words in ("27 oktober 2030 kl. 02.30 (UTC+02:00)", "27 oktober 2030 kl. 02.30 (UTC+01:00)"):
        assert words in " ".join(twice.split()), words
    never = publisher.post(f"{path}/send", later(publisher, path, "2030-03-31", "02:30")).text
    assert "31 mars 2030 kl. 03.30" in never
    chosen = publisher.post(f"{path}/send", later(publisher, path, choice="2030-10-27 02:30+01:00"))
    assert chosen.status_code == 303
    moment = released().publish_at
    assert moment is not None
    assert moment.isoformat() == "2030-10-27T01:30:00+00:00"
    typed = re.findall(r"<form.*?</form>", twice, re.DOTALL)
    assert not any('name="choice"' in form and 'name="date"' in form for form in typed)  # Enter chooses none


def test_a_scheduled_release_is_scheduled_once_moved_knowingly_or_sent_now(person: Callable[..., Person]) -> None:
    publisher = person("publisher")
    path = write(publisher)
    first = later(publisher, path, "2035-03-01", "09:30")
    for _ in range(2):
        assert publisher.post(f"{path}/send", first).headers["Location"] == f"{path}?note=scheduled"
    assert acts().count("release.schedule") == 1
    publisher.post(f"{path}/send", first | {"time": "10:30"})
    moment = released().publish_at
    assert moment is not None
    assert moment.hour == 9
    assert dispatches() == []
    now = publisher.post(f"{path}/send", {"revision": first["revision"]})
    assert f"{ROOM}/dispatches/" in now.headers["Location"]
    assert released().state is ReleaseState.PUBLISHED
    late = publisher.post(f"{path}/send", first)
    assert late.headers["Location"] == now.headers["Location"].replace("on-the-web", "already")


def test_what_was_withdrawn_is_not_sent(person: Callable[..., Person]) -> None:
    publisher = person("publisher")
    path = write(publisher)
    seen = {"revision": revision(publisher, path)}
    publisher.post(f"{path}/send", seen)
    publisher.post(f"{path}/withdraw")
    before = rows()
    refused = publisher.post(f"{path}/send", seen)
    assert refused.status_code == 422
    assert 'role="alert"' in refused.text
    assert publisher.post(f"{path}/unschedule").headers["Location"] == path
    assert publisher.post(f"{path}/delete").headers["Location"] == path
    assert publisher.post(f"{path}/withdraw").headers["Location"] == f"{path}?note=withdrawn"
    assert rows() == before


def test_a_relay_out_of_reach_is_said_and_hinders_nothing(person: Callable[..., Person]) -> None:
    publisher = person("publisher")
    followers("maja@example.org")
    path = write(publisher)
    assert 'class="warned"' not in publisher.get(f"{path}/send").text
    with database.transaction() as session:
        relay.away(session, "connection refused", database.now(session))
    assert 'class="warned"' in publisher.get(f"{path}/send").text
    sent = publisher.post(f"{path}/send", {"revision": revision(publisher, path)})
    assert sent.headers["Location"].endswith("?note=published")


@pytest.mark.parametrize("seen", ["", "0", "-1", "x", "9" * 300, "\x00"])
def test_a_revision_that_nobody_has_seen_sends_nothing(person: Callable[..., Person], seen: str) -> None:
    publisher = person("publisher")
    path = write(publisher)
    assert publisher.post(f"{path}/send", {"revision": seen}).status_code == 409
    assert dispatches() == []


def test_a_finnish_newsroom_is_told_in_finnish(person: Callable[..., Person]) -> None:
    publisher = person("publisher", "karhula")
    fields = {"headline": "Silta avataan", "lead": "Maanantaina.", "language": "fi", "kind": "news"}
    path = publisher.post("/desk/karhula/releases", fields).headers["Location"].partition("?")[0]
    seen = {"revision": revision(publisher, path), "when": "later", "date": "2001-01-01", "time": "09:30"}
    refused = publisher.post(f"{path}/send", seen)
    assert refused.status_code == 422
    assert 'lang="fi"' in refused.text
    assert "passed" not in refused.text
    assert 'href="#date"' in refused.text
