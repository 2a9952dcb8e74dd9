"""`utskick staff`: people and keys from the command line, on each kind of database."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from service import database, files, keys, newsrooms, settings, staff
from service.cli.main import app
from service.models import Audit
from tests.cli.said import Said
from tests.service.press import START, TWIN, do

ROOM = ["--newsroom", "asele-strand"]
MAJA = "maja@example.org"
ADD = ["add", MAJA, *ROOM, "--role", "publisher"]
PASSWORD = "a password of the tests"


def utskick(*args: str) -> Said:
    done = CliRunner().invoke(app, ["staff", *args])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return Said(done.exit_code, done.stdout, done.stderr)


@pytest.fixture(autouse=True)
def _newsroom(database_url: str) -> Iterator[None]:
    path = TWIN / "newsroom-asele-strand.yaml"
    do(newsrooms.load, newsrooms.parse_file(files.read(path), path.name), START)
    yield
    database.engine(settings.current().database).dispose()


def audited() -> list[tuple[str, str, str]]:
    with database.reading() as session:
        rows = session.scalars(select(Audit).order_by(Audit.id)).all()
    assert {(row.actor, row.staff_id) for row in rows} == {("utskick", None)}
    return [(row.act, row.subject, row.details.get("role", "")) for row in rows]


def token_of(link: str) -> str:
    start = f"{settings.current().site}/desk/password/"
    assert link.startswith(start), link
    return link.removeprefix(start)


def set_password(link: str) -> bool:
    with database.transaction() as session:
        now = database.now(session)
        return staff.set_by_link(session, token_of(link), staff.hashed(PASSWORD), now) is not None


def role_of(who: str) -> str:
    with database.reading() as session:
        known, room = staff.by_address(session, who), newsrooms.get(session, "asele-strand")
        assert known is not None
        assert room is not None
        return staff.role_in(session, known.id, room.id) or ""


def test_whoever_is_added_gets_a_link_that_works_once_and_says_until_when() -> None:
    said = utskick(*ADD, "--name", "Maja Lind")
    assert said.code == 0
    link = said.out.splitlines()[-1]
    assert "maja@example.org is publisher of asele-strand." in said.out
    assert "it works once, until" in said.out
    assert set_password(link)
    assert not set_password(link)
    assert role_of("MAJA@example.org") == "publisher"
    assert audited() == [("staff.add", MAJA, "publisher")]


def test_adding_again_changes_the_role_and_makes_no_link_for_who_has_a_password() -> None:
    link = utskick(*ADD, "--json").json["link"]
    assert set_password(link)
    again = utskick("add", "Maja@Example.org", *ROOM, "--role", "editor", "--json")
    assert again.json == {
        "address": MAJA,
        "newsroom": "asele-strand",
        "role": "editor",
        "link": None,
        "link_expires_at": None,
        "voided": False,
    }
    assert role_of(MAJA) == "editor"
    assert "They have a password already" in utskick(*ADD).out
    assert [one["role"] for one in utskick("list", "--json").json] == ["publisher"]


def test_whoever_comes_from_another_newsroom_must_set_a_new_password() -> None:
    path = TWIN / "newsroom-asele-strand.yaml"
    text = files.read(path).replace("slug: asele-strand", "slug: elsewhere")
    do(newsrooms.load, newsrooms.parse_file(text, path.name), START)
    assert set_password(utskick("add", MAJA, "--newsroom", "elsewhere", "--role", "admin", "--json").json["link"])
    with database.transaction() as session:
        known = staff.by_address(session, MAJA)
        assert known is not None
        token = staff.log_in(session, known, "", database.now(session))
    assert token
    said = utskick(*ADD)
    assert "its password, link and log-ins are void" in said.out
    with database.reading() as session:
        assert staff.logged_in(session, token, database.now(session)) is None
        known = staff.by_address(session, MAJA)
        assert known is not None
        assert known.password_hash is None
    assert set_password(said.out.splitlines()[-1])
    assert "void" not in utskick("add", MAJA, *ROOM, "--role", "editor").out


def test_a_new_link_makes_the_old_one_dead_and_is_good_for_three_days() -> None:
    old = utskick(*ADD, "--json").json["link"]
    said = utskick("link", MAJA, "--json").json
    with database.reading() as session:
        left = datetime.fromisoformat(said["link_expires_at"]) - database.now(session)
    assert timedelta(days=2, hours=23) < left <= timedelta(days=3)
    assert not set_password(old)
    assert set_password(said["link"])
    assert audited()[-1] == ("staff.link", MAJA, "")
    assert token_of(utskick("link", MAJA).out.splitlines()[-1])


def test_the_list_names_who_may_do_what() -> None:
    assert "utskick staff add" in utskick("list").out
    utskick(*ADD, "--name", "Maja Lind")
    assert utskick("list", *ROOM, "--json").json == [
        {"address": MAJA, "name": "Maja Lind", "newsroom": "asele-strand", "role": "publisher"}
    ]
    assert MAJA in utskick("list").out
    assert utskick("list", "--newsroom", "nowhere").code == 1


def test_a_role_is_taken_away_once() -> None:
    utskick(*ADD)
    assert utskick("remove", MAJA, *ROOM).out == "maja@example.org has no role in asele-strand any more.\n"
    assert utskick("remove", MAJA, *ROOM).out == "maja@example.org had no role in asele-strand.\n"
    assert role_of(MAJA) == ""
    assert [act for act, *_ in audited()] == ["staff.add", "staff.remove"]


def test_logging_out_ends_every_browser() -> None:
    assert set_password(utskick(*ADD, "--json").json["link"])
    with database.transaction() as session:
        known = staff.by_address(session, MAJA)
        assert known is not None
        tokens = [staff.log_in(session, known, "", database.now(session)) for _ in range(2)]
    assert all(tokens)
    assert utskick("logout", MAJA).code == 0
    with database.reading() as session:
        assert [staff.logged_in(session, token or "", database.now(session)) for token in tokens] == [None, None]
    assert audited()[-1] == ("logout", MAJA, "")


def test_a_key_is_told_once_kept_as_a_hash_and_closed_for_good() -> None:
    made = utskick("key", *ROOM, "--role", "editor", "--name", "web site", "--json").json
    secret = made["key"]
    listed = utskick("keys", "--json")
    assert secret not in listed.out
    assert [(one["number"], one["name"], one["state"]) for one in listed.json] == [(made["number"], "web site", "open")]
    with database.reading() as session:
        found = keys.find(session, secret)
        assert found is not None
        assert (found.role.value, found.newsroom.slug) == ("editor", "asele-strand")
    assert "is revoked" in utskick("revoke", str(made["number"])).out
    assert "was already revoked" in utskick("revoke", str(made["number"])).out
    with database.reading() as session:
        assert keys.find(session, secret) is None
    assert audited() == [("key.make", "web site", "editor"), ("key.revoke", "web site", "")]
    assert utskick("key", *ROOM, "--role", "admin", "--name", "CMS").out.splitlines()[-1].startswith("utskick_")


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["add", "not-an-address", *ROOM, "--role", "editor"], 2, "is not an email address"),
        (["add", MAJA, *ROOM, "--role", "boss"], 2, "boss"),
        (["add", MAJA, *ROOM, "--role", "editor", "--name", "two\nlines"], 2, "--name"),
        (["add", MAJA, *ROOM], 2, "--role"),
        (["add", MAJA, "--newsroom", "nowhere", "--role", "editor"], 1, "there is no newsroom 'nowhere'"),
        (["link", "nobody@example.org"], 1, "nobody at the desk has the address nobody@example.org"),
        (["remove", "nobody@example.org", *ROOM], 1, "nobody at the desk"),
        (["logout", "nobody@example.org"], 1, "nobody at the desk"),
        (["key", *ROOM, "--role", "editor", "--name", " "], 2, "--name"),
        (["key", "--newsroom", "nowhere", "--role", "editor", "--name", "CMS"], 1, "there is no newsroom"),
        (["revoke", "7"], 1, "there is no key 7"),
        (["revoke", "seven"], 2, "NUMBER"),
        (["revoke", "99999999999999999999"], 2, "2147483647"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_and_changes_nothing(args: list[str], code: int, words: str) -> None:
    said = utskick(*args)
    assert said.code == code
    assert words in said.err
    assert said.out == ""
    if code == 1:
        assert len(said.err.splitlines()) == 1
    with database.reading() as session:
        assert session.scalars(select(Audit)).all() == []
    assert utskick("list", "--json").json == []
