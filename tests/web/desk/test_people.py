"""Settings, people, keys and the log: the administrators' pages."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from sqlalchemy import select

from service import database, keys, newsrooms, staff
from service.models import Audit, Staff
from tests.web.conftest import newsroom_of, rows
from tests.web.desk.conftest import Person
from tests.web.desk.filled import Filled, form

PEOPLE, SETTINGS = "/desk/norrvik/people", "/desk/norrvik/settings"


def kept() -> dict[str, Any]:
    with database.reading() as session:
        return newsrooms.fields(newsroom_of(session, "norrvik"))


def number_of(email: str) -> int:
    with database.reading() as session:
        found = staff.by_address(session, email)
    assert found is not None
    return found.id


def acts() -> list[str]:
    with database.reading() as session:
        return [act for act in session.scalars(select(Audit.act).order_by(Audit.id)) if act != "login"]


def test_settings_saved_unchanged_change_nothing(person: Callable[..., Person]) -> None:
    admin, before = person(), kept()
    assert admin.post(SETTINGS, form(admin, SETTINGS)).headers["Location"].endswith("note=saved")
    assert kept() == before


def test_every_setting_of_the_file_can_be_changed(person: Callable[..., Person]) -> None:
    admin = person()
    changed = {
        "name": "Norrviks stad",
        "tagline": "Allt om Norrvik",
        "about": "Nytt.\n\nMer.",
        "address": "Torget 1\n930 01 Norrvik",
        "phone": "0930-11 11 11",
        "website": "https://norrvik.example.org/",
        "language": "sv",
        "timezone": "Europe/Helsinki",
        "accent": "#123456",
        "sender.name": "Norrvik",
        "sender.address": "press@norrvik.example.org",
        "bounce_address": "retur@norrvik.example.org",
        "follow_text": "Högst ett brev i veckan.",
        "privacy.controller": "Stadsdirektören",
        "privacy.data_protection_officer": "dso@norrvik.example.org",
        "contacts.1.name": "Eva Ny",
        "contacts.1.role": "pressjour",
    }
    assert admin.post(SETTINGS, form(admin, SETTINGS) | changed).status_code == 303
    fields = kept()
    for name, value in changed.items():
        group, _, field = name.partition(".")
        if group != "contacts":
            assert (fields[group][field] if field else fields[group]) == value
    assert [one["name"] for one in fields["contacts"]] == ["Åsa Öberg", "Eva Ny"]
    written = newsrooms.as_yaml(fields)
    assert newsrooms.parse_file(written, "x.yaml").name == "Norrviks stad"
    room = admin.get("/norrvik").text
    assert "Högst ett brev i veckan. " in room
    admin.client.post("/norrvik/subscribe", data={"email": "ny@example.org"})
    assert "Högst ett brev i veckan. " in str(rows()["consents"])
    emptied = form(admin, SETTINGS) | {f"contacts.0.{field}": "" for field in ("name", "role", "phone", "email")}
    admin.post(SETTINGS, emptied)
    assert [one["name"] for one in kept()["contacts"]] == ["Eva Ny"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "Fyll i fältet"),
        ("name", "x" * 201, "Högst 200 tecken"),
        ("timezone", "Mars/Norrvik", "Europe/Stockholm"),
        ("accent", "red", "#1f5f4a"),
        ("website", "javascript:alert(1)", "https://"),
        ("sender.address", "åsa@example.org", "name@example.org"),
        ("bounce_address", "nobody", "name@example.org"),
        ("language", "de", "Välj ett av alternativen"),
        ("contacts.0.email", "nobody", "name@example.org"),
        ("about", "\x07", "dolda tecken"),
        ("follow_text", "x" * 501, "Högst 500 tecken"),
    ],
)
def test_a_wrong_setting_is_told_at_its_field(person: Callable[..., Person], field: str, value: str, said: str) -> None:
    admin, before = person(), kept()
    answer = admin.post(SETTINGS, form(admin, SETTINGS) | {field: value, "tagline": "Skrivet här"})
    assert answer.status_code == 422
    assert f'id="{field}-problem"' in answer.text
    problem = re.search(rf'id="{re.escape(field)}-problem">([^<]*)<', answer.text)
    assert problem
    expected = "namn@example.org" if said == "name@example.org" else said
    assert expected in unescape(problem[1])
    assert "Skrivet här" in answer.text
    assert kept() == before


def test_settings_changed_meanwhile_are_shown_beside_mine(person: Callable[..., Person]) -> None:
    one, other = person(), person(email="annan@example.org")
    mine = form(one, SETTINGS) | {"tagline": "Min rad"}
    other.post(SETTINGS, form(other, SETTINGS) | {"tagline": "Den andras rad"})
    met = one.post(SETTINGS, mine)
    assert met.status_code == 409
    assert "Min rad" in met.text
    assert "Den andras rad" in met.text
    again = Filled(met.text, SETTINGS).fields
    assert one.post(SETTINGS, again).status_code == 303
    assert kept()["tagline"] == "Min rad"


def test_somebody_is_added_with_a_link_that_is_shown_once(person: Callable[..., Person]) -> None:
    admin = person()
    fields = {"address": "ny@example.org", "name": "Ny Person", "role": "publisher"}
    answer = admin.post(PEOPLE, fields, PEOPLE)
    link = re.search(r"http://[^<\s]+(/desk/password/[\w-]+)", answer.text)
    assert link
    assert admin.client.get(link[1]).status_code == 200
    assert link[1] not in admin.get(PEOPLE).text
    assert "Ny Person" in admin.get(PEOPLE).text
    assert link[1].rpartition("/")[2] not in str(rows())
    assert admin.post(PEOPLE, fields | {"address": "nobody"}, PEOPLE).status_code == 422
    assert admin.post(PEOPLE, fields | {"role": "king"}, PEOPLE).status_code == 422
    assert acts() == ["staff.add"]


def test_roles_are_changed_and_taken_away_but_never_ones_own(person: Callable[..., Person]) -> None:
    admin, editor = person(), person("editor")
    number, own = number_of(editor.email), number_of(admin.email)
    admin.post(f"{PEOPLE}/{number}/role", {"role": "publisher"}, PEOPLE)
    assert editor.get("/desk/norrvik").status_code == 200
    admin.post(f"{PEOPLE}/{number}/remove", {}, PEOPLE)
    assert editor.get("/desk/norrvik").status_code == 404
    for act, fields in (("role", {"role": "editor"}), ("remove", {})):
        admin.post(f"{PEOPLE}/{own}/{act}", fields, PEOPLE)
    admin.post(PEOPLE, {"address": admin.email, "role": "editor"}, PEOPLE)
    assert admin.get(PEOPLE).status_code == 200
    assert acts() == ["staff.add", "staff.remove"]


def test_an_administrator_gets_no_link_into_another_newsroom(person: Callable[..., Person]) -> None:
    admin, both = person(), person("editor", email="both@example.org")
    number = number_of(both.email)
    assert admin.post(f"{PEOPLE}/{number}/link", {}, PEOPLE).status_code == 200
    person("admin", "karhula", email="both@example.org")
    assert admin.post(f"{PEOPLE}/{number}/link", {}, PEOPLE).status_code == 403


def test_an_administrator_cannot_take_over_somebody_of_another_newsroom(person: Callable[..., Person]) -> None:
    admin, other = person(), person("admin", "karhula")
    number = number_of(other.email)
    before = rows()
    for act in ("role", "remove", "link"):
        assert admin.post(f"{PEOPLE}/{number}/{act}", {"role": "editor"}, PEOPLE).status_code == 404
    assert rows() == before


def test_a_key_is_shown_once_and_can_be_revoked(person: Callable[..., Person]) -> None:
    admin = person()
    answer = admin.post(f"{PEOPLE}/keys", {"key-name": "Webbplatsen", "key-role": "publisher"}, PEOPLE)
    secret = re.search(r"utskick_[\w-]{43}", answer.text)
    assert secret
    assert secret[0] not in admin.get(PEOPLE).text
    assert secret[0] not in str(rows())
    with database.reading() as session:
        key = keys.find(session, secret[0])
    assert key is not None
    other = person("admin", "karhula")
    path = f"/desk/karhula/people/keys/{key.id}/revoke"
    assert other.post(path, {}, "/desk/karhula/people").status_code == 404
    admin.post(f"{PEOPLE}/keys/{key.id}/revoke", {}, PEOPLE)
    with database.reading() as session:
        assert keys.find(session, secret[0]) is None
    assert admin.post(f"{PEOPLE}/keys", {"key-name": "", "key-role": "editor"}, PEOPLE).status_code == 422
    assert acts() == ["key.make", "key.revoke"]


def test_the_log_tells_who_did_what(person: Callable[..., Person]) -> None:
    admin = person()
    admin.post(SETTINGS, form(admin, SETTINGS) | {"tagline": "Ny rad"})
    page = admin.get("/desk/norrvik/log").text
    assert "ändrade inställningarna" in page
    assert admin.email in page
    assert admin.get("/desk/norrvik/log?before=1").status_code == 200
    assert admin.get("/desk/norrvik/log?before=x").status_code == 404
    with database.reading() as session:
        assert session.scalars(select(Staff)).first() is not None
