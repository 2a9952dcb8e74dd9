"""The administrators' pages where two act at once, act on themselves, or on people of two newsrooms; and the log."""

import re
from collections.abc import Callable
from html import unescape
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlalchemy import select

from service import address, audit, database, newsrooms, settings, staff
from service.models import ApiKey, Audit, Staff
from service.states import Role
from tests.web.conftest import rows
from tests.web.desk.conftest import Person, hire

PEOPLE = "/desk/norrvik/people"
LOG = "/desk/norrvik/log"
MAJA = "maja@example.org"
ADD = {"address": MAJA, "name": "Maja Lind", "role": "editor", "keep": "1"}
KEY = {"key-name": "webbplatsen", "key-role": "editor", "keep": "1"}


def number_of(email: str) -> int:
    with database.reading() as session:
        found = staff.by_address(session, email)
        assert found is not None
        return found.id


def role_of(email: str, newsroom: str = "norrvik") -> str:
    with database.reading() as session:
        room = newsrooms.get(session, newsroom)
        assert room is not None
        return staff.role_in(session, number_of(email), room.id) or ""


def links(html: str) -> list[str]:
    return re.findall(rf">{re.escape(settings.current().site)}/desk/password/([^<]+)</code>", html)


def operator_adds(email: str, newsroom: str) -> staff.Added:
    with database.transaction() as session:
        room = newsrooms.get(session, newsroom)
        assert room is not None
        return staff.add(session, address.parse(email), "", room, Role.ADMIN, database.now(session))


def owner(token: str) -> str:
    with database.reading() as session:
        found = staff.by_link(session, token, database.now(session))
        return found.address if found else ""


def acts() -> list[tuple[str, str]]:
    """Return what was done in Norrvik."""
    with database.reading() as session:
        room = newsrooms.get(session, "norrvik")
        assert room is not None
        return [(row.act, row.subject) for row in reversed(audit.latest(session, room.id))]


def note_of(answer: Any) -> str:
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"]).partition("?note=")[2]


def test_a_bad_address_is_told_and_what_was_typed_comes_back(person: Callable[..., Person]) -> None:
    boss = person()
    before = rows()
    said = boss.post(PEOPLE, ADD | {"address": "maja.example.org", "name": "<b>Maja"})
    assert said.status_code == 422
    assert 'value="maja.example.org"' in said.text
    assert "&lt;b&gt;Maja" in said.text
    assert '<a href="#address">' in said.text
    for bad in ({"name": "två\nrader"}, {"name": "x" * 201}, {"role": "boss"}, {"role": ""}, {"address": "a\x00@b.se"}):
        assert boss.post(PEOPLE, ADD | bad).status_code == 422
    assert rows() == before


def test_a_role_is_changed_and_taken_away_and_counts_from_the_next_click(person: Callable[..., Person]) -> None:
    boss, other = person(), person("editor")
    place = f"{PEOPLE}/{number_of(other.email)}"
    assert other.get(PEOPLE).status_code == 403
    assert note_of(boss.post(f"{place}/role", {"role": "admin"})) == "role"
    assert other.get(PEOPLE).status_code == 200
    assert note_of(boss.post(f"{place}/remove")) == "removed"
    assert other.get("/desk/norrvik").status_code == 404
    assert boss.post(f"{place}/role", {"role": "admin"}).status_code == 404
    assert boss.post(f"{place}/remove").status_code == 404
    assert acts()[-2:] == [("staff.add", other.email), ("staff.remove", other.email)]


def test_every_act_says_on_whom_and_what_goes_for_good_asks_first(person: Callable[..., Person]) -> None:
    boss = person()
    hire("anna@example.org", role="editor", name="Anna Berg")
    boss.post(f"{PEOPLE}/keys", KEY)
    page = boss.get(PEOPLE).text
    for act, whom in (("Ändra rollen", "Anna Berg"), ("Ny länk", "Anna Berg"), ("Ta bort", "Anna Berg")):
        assert f'{act}<span class="aside">: {whom}</span>' in page
    assert 'Spärra<span class="aside">: webbplatsen</span>' in page
    before = rows()
    for path, whom in re.findall(r'<a class="button quiet" href="([^"]+)">[^<]+<span class="aside">: ([^<]+)<', page):
        asked = boss.get(path).text
        assert whom in asked
        assert f'method="post" action="{path}"' in asked
    assert rows() == before
    assert f'action="{PEOPLE}/{number_of("anna@example.org")}/remove"' not in page


def test_nobody_changes_their_own_role_so_that_an_administrator_remains(person: Callable[..., Person]) -> None:
    boss = person()
    place = f"{PEOPLE}/{number_of(boss.email)}"
    for path, fields in (
        (f"{place}/role", {"role": "editor"}),
        (f"{place}/remove", {}),
        (PEOPLE, ADD | {"address": boss.email.upper()}),
    ):
        assert note_of(boss.post(path, fields)) == "oneself"
    assert role_of(boss.email) == "admin"
    assert acts() == []
    assert "Be en annan administratör" in boss.get(f"{PEOPLE}?note=oneself").text


def test_of_two_who_remove_each_other_at_once_one_remains(person: Callable[..., Person]) -> None:
    pair = [person(email="one@example.org"), person(email="two@example.org")]
    proofs = [one.csrf(PEOPLE) for one in pair]
    numbers = [number_of(one.email) for one in pair]
    start = Barrier(2)

    def remove(me: int) -> None:
        start.wait()
        pair[me].client.post(f"{PEOPLE}/{numbers[1 - me]}/remove", data={"csrf": proofs[me]})

    both = [Thread(target=remove, args=(me,)) for me in (0, 1)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(role_of(one.email) for one in pair) == ["", "admin"]


def test_a_new_link_is_for_people_of_this_newsroom_alone(person: Callable[..., Person]) -> None:
    boss, other = person(), person("editor")
    (token,) = links(boss.post(f"{PEOPLE}/{number_of(other.email)}/link").text)
    assert owner(token) == other.email
    assert acts()[-1] == ("staff.link", other.email)
    theirs = operator_adds(other.email, "karhula").token
    refused = boss.post(f"{PEOPLE}/{number_of(other.email)}/link")
    assert refused.status_code == 403
    assert links(refused.text) == []
    assert (owner(token), owner(theirs)) == ("", other.email)


def test_a_member_of_two_newsrooms_is_neither_administrator_s_to_name_or_to_let_in(
    person: Callable[..., Person],
) -> None:
    boss, neighbour = person(), person(newsroom="karhula")
    assert links(neighbour.post("/desk/karhula/people", ADD).text)
    theirs = operator_adds(MAJA, "norrvik")
    mine = boss.post(PEOPLE, ADD | {"name": "Någon annan", "role": "publisher"})
    assert note_of(mine) == "added-elsewhere"
    assert role_of(MAJA) == "publisher"
    assert owner(theirs.token) == MAJA
    with database.reading() as session:
        assert session.get_one(Staff, number_of(MAJA)).name == "Maja Lind"


def test_people_and_keys_of_another_newsroom_are_as_good_as_none(person: Callable[..., Person]) -> None:
    boss, neighbour = person(), person(newsroom="karhula")
    neighbour.post("/desk/karhula/people/keys", KEY)
    with database.reading() as session:
        key = session.scalars(select(ApiKey)).one()
    before = rows()
    theirs = number_of(neighbour.email)
    for path in (f"{theirs}/role", f"{theirs}/remove", f"{theirs}/link", f"keys/{key.id}/revoke"):
        assert boss.post(f"{PEOPLE}/{path}", {"role": "editor"}).status_code == 404
    for odd in ("0", "-1", "x", "99999999999", "1" * 400, "%00", "٣"):
        assert boss.post(f"{PEOPLE}/{odd}/remove").status_code == 404
        assert boss.post(f"{PEOPLE}/keys/{odd}/revoke").status_code == 404
    assert rows() == before
    assert neighbour.email not in boss.get(PEOPLE).text
    assert key.hint not in boss.get(PEOPLE).text


@pytest.mark.parametrize(
    "bad", [{"key-name": " "}, {"key-name": "x" * 101}, {"key-name": "a\tb"}, {"key-role": "boss"}]
)
def test_a_key_without_a_good_name_or_role_is_not_made(person: Callable[..., Person], bad: dict[str, str]) -> None:
    boss = person()
    assert boss.post(f"{PEOPLE}/keys", KEY | bad).status_code == 422
    with database.reading() as session:
        assert session.scalars(select(ApiKey)).all() == []


def test_the_log_tells_in_words_what_was_done_newest_first(person: Callable[..., Person]) -> None:
    boss = person()
    boss.post(PEOPLE, ADD | {"address": "<i>x</i>@example.org"})
    boss.post(PEOPLE, ADD)
    boss.post(f"{PEOPLE}/keys", KEY | {"key-name": "<script>alert(1)</script>"})
    page = boss.get(LOG).text
    assert "<script>alert" not in page
    told = [" ".join(unescape(re.sub(r"<[^>]+>", " ", line)).split()) for line in re.findall(r"<tr>(.*)</tr>", page)]
    assert [line.split(boss.email)[1] for line in told[1:]] == [
        " gjorde nyckeln: <script>alert(1)</script> (redaktör)",
        f" gav en roll till: {MAJA} (redaktör)",
    ]


def test_the_log_tells_people_of_one_name_apart_and_from_the_command_line(person: Callable[..., Person]) -> None:
    boss = person()
    for email, name in (("one@example.org", "Anna Berg"), ("two@example.org", "Anna Berg"), (MAJA, "utskick")):
        hire(email, name=name)
        person(email=email).post(f"{PEOPLE}/keys", KEY)
    with database.transaction() as session:
        room = newsrooms.get(session, "norrvik")
        assert room is not None
        audit.note(session, audit.COMMAND_LINE, "key.make", database.now(session), room.id)
    told = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"</time></td><td>(.*?)</td>", boss.get(LOG).text)]
    assert told == ["kommandoraden", f"utskick {MAJA}", "Anna Berg two@example.org", "Anna Berg one@example.org"]


def test_the_log_goes_on_page_by_page(person: Callable[..., Person]) -> None:
    boss = person()
    with database.transaction() as session:
        room = newsrooms.get(session, "norrvik")
        assert room is not None
        for number in range(250):
            audit.note(session, audit.COMMAND_LINE, "draft.save", database.now(session), room.id, f"nr {number};")
    seen, path = [], LOG
    while path:
        page = boss.get(path).text
        seen += re.findall(r"nr (\d+);", page)
        older = re.search(rf'href="({LOG}\?before=\d+)"', page)
        path = older[1] if older else ""
    assert seen == [str(number) for number in range(249, -1, -1)]
    assert boss.get(f"{LOG}?before=x").status_code == 404
    assert boss.get(f"{LOG}?before=99999999999").status_code == 404


def test_the_log_of_another_newsroom_is_not_shown(person: Callable[..., Person]) -> None:
    boss, neighbour = person(), person(newsroom="karhula")
    boss.post(PEOPLE, ADD)
    assert MAJA in boss.get(LOG).text
    assert MAJA not in neighbour.get("/desk/karhula/log").text
    with database.reading() as session:
        assert session.scalars(select(Audit.act).where(Audit.subject == MAJA)).all() == ["staff.add"]


def test_the_way_to_other_newsrooms_is_shown_to_whoever_has_some(person: Callable[..., Person]) -> None:
    one, both = person("editor"), person("publisher")
    hire(both.email, "karhula", "editor")
    both.log_in()
    assert "Andra pressrum" not in one.get("/desk/norrvik").text
    assert "Andra pressrum" in both.get("/desk/norrvik").text
    home = both.get("/desk").text
    assert "Norrviks kommun" in home
    assert "Karhulan kaupunki" in home


def test_an_error_at_the_desk_keeps_ones_way_on(person: Callable[..., Person]) -> None:
    writer = person("editor")
    refused = writer.get(PEOPLE)
    assert refused.status_code == 403
    assert 'action="/desk/logout"' in refused.text
    missing = writer.get("/desk/norrvik/releases/99999")
    assert missing.status_code == 404
    assert 'href="/desk/norrvik"' in missing.text
    assert "<script" not in missing.text
