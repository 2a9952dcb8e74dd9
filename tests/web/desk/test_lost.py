"""Text typed at the desk outlives what happens meanwhile: a draft that is deleted, a role that is taken away."""

import re
from collections.abc import Callable

import pytest

from service import database, staff
from service.states import Role
from tests.web.conftest import newsroom_of, rows
from tests.web.desk.conftest import PASSWORD, Person
from tests.web.desk.filled import form
from tests.web.desk.test_login import hidden
from tests.web.desk.test_people import SETTINGS
from tests.web.desk.test_releases import ROOM, TYPED, revision, write

KEEP = {"keep": "1"}
MINE = TYPED | KEEP | {"headline": "Min rubrik", "body": "Min text <b>", "slug": "min-adress"}


def dismissed(person: Person) -> None:
    """Take somebody's role in Norrvik away."""
    with database.transaction() as session:
        known, room = staff.by_address(session, person.email), newsroom_of(session, "norrvik")
        assert known is not None
        assert staff.remove(session, known.id, room.id)


def demoted(person: Person) -> None:
    """Make somebody an editor of Norrvik."""
    with database.transaction() as session:
        known, room = staff.by_address(session, person.email), newsroom_of(session, "norrvik")
        assert known is not None
        staff.set_role(session, known.id, room.id, Role.EDITOR)


def test_a_draft_deleted_meanwhile_is_saved_as_a_new_one(person: Callable[..., Person]) -> None:
    writer, other = person("editor"), person("publisher")
    path = write(writer, slug="min-adress")
    mine = MINE | {"revision": revision(writer, path)}
    other.post(f"{path}/delete")
    before = rows()
    answer = writer.post(path, mine)
    assert answer.status_code == 409
    assert "tagit bort utkastet" in answer.text
    assert "Min text &lt;b&gt;" in answer.text
    assert "data-unsaved" in answer.text
    assert f'action="{path}"' not in answer.text
    assert rows() == before
    sent = re.search(r'method="post" action="([^"]+/releases)"', answer.text)
    assert sent
    made = writer.post(sent[1], mine).headers["Location"].partition("?")[0]
    assert 'value="Min rubrik"' in writer.get(made).text
    assert 'value="min-adress"' in writer.get(made).text


def test_a_number_that_no_form_of_ours_names_is_not_found(person: Callable[..., Person]) -> None:
    writer = person("editor")
    assert writer.post(f"{ROOM}/releases/999999", TYPED).status_code == 404
    assert writer.post(f"{ROOM}/releases/x", MINE).status_code == 404


def test_what_was_typed_can_be_copied_where_the_role_is_gone(person: Callable[..., Person]) -> None:
    writer = person("editor")
    path = write(writer)
    proof = {"csrf": writer.csrf(path)}
    dismissed(writer)
    before = rows()
    for target in (path, f"{ROOM}/releases"):
        answer = writer.client.post(target, data=MINE | proof)
        assert answer.status_code == 404
        assert "Du har ingen roll här" in answer.text
        assert "Min rubrik</textarea>" in answer.text
        assert "Min text &lt;b&gt;</textarea>" in answer.text
        assert proof["csrf"] not in "".join(re.findall(r"<textarea.*?</textarea>", answer.text, re.DOTALL))
        assert writer.client.post(target, data=TYPED | proof).text.count("<textarea") == 0
    assert rows() == before


def test_what_was_typed_can_be_copied_where_the_role_is_too_low_now(person: Callable[..., Person]) -> None:
    admin = person("admin")
    typed = form(admin, SETTINGS) | {"about": "Min nya text om oss", "contacts.0.name": "Vera Ny"}
    demoted(admin)
    before = rows()
    answer = admin.client.post(SETTINGS, data=typed)
    assert answer.status_code == 403
    assert "Din roll räcker inte till det" in answer.text
    assert "Min nya text om oss</textarea>" in answer.text
    assert "Vera Ny</textarea>" in answer.text
    assert typed["csrf"] not in "".join(re.findall(r"<textarea.*?</textarea>", answer.text, re.DOTALL))
    assert rows() == before


def test_a_form_that_is_not_proven_is_not_shown_again(person: Callable[..., Person]) -> None:
    writer = person("editor")
    dismissed(writer)
    assert "Min text" not in writer.client.post(f"{ROOM}/releases", data=MINE).text


@pytest.mark.parametrize("letter", ["å", "😀"])
def test_a_text_of_the_greatest_length_is_kept_also_when_the_log_in_is_over(
    person: Callable[..., Person], letter: str
) -> None:
    writer = person("editor")
    longest = letter * 200_000
    path = write(writer, body=longest)
    assert longest in writer.get(path).text
    late = TYPED | KEEP | {"body": longest, "headline": "Sent", "revision": revision(writer, path)}
    writer.post("/desk/logout")
    over = writer.client.post(path, data=late)
    assert over.status_code == 401
    fields = {name: hidden(over.text, name) for name in ("csrf", "kept", "next")}
    resumed = writer.client.post("/desk/login", data=fields | {"address": writer.email, "password": PASSWORD})
    assert resumed.status_code == 200
    assert longest in resumed.text


def test_no_field_of_a_long_form_is_emptied_by_going_back(person: Callable[..., Person]) -> None:
    admin = person("admin")
    for path in (f"{ROOM}/releases/new", SETTINGS):
        page = admin.get(path).text
        assert "<form" in page
        assert 'autocomplete="off"' not in page
