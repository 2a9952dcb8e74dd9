"""`utskick release withdraw` of what was written at the desk: its text is never lost, and what is said is so."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select
from typer.testing import CliRunner

from service import database
from service.cli.main import app
from service.models import Audit
from service.states import ReleaseState
from tests.web.conftest import rows
from tests.web.desk.conftest import Person
from tests.web.desk.test_releases import TYPED, released, revision, write

NAME = "norrvik/ny-bro-over-alven"
FILE = "---\nnewsroom: norrvik\nslug: fran-fil\nheadline: Från en fil\n---\n\n{body}\n"


def run(*args: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["release", *args])
    assert done.exit_code == code, done.output
    return done.stdout + done.stderr


def schedule(person: Person, path: str) -> None:
    seen = {"revision": revision(person, f"{path}/send"), "when": "later", "date": "2035-03-01", "time": "09:30"}
    assert person.post(f"{path}/send", seen).status_code == 303


def last_act() -> tuple[str, str, object]:
    with database.reading() as session:
        act = session.scalars(select(Audit).order_by(Audit.id.desc()).limit(1)).one()
        return act.act, act.actor, act.details.get("release")


def test_a_draft_stays_and_is_called_one(person: Callable[..., Person]) -> None:
    write(person("editor"))
    before = rows()
    said = run("withdraw", NAME, code=1)
    assert "is a draft" in said
    assert "delete it at the desk" in said
    assert rows() == before


def test_what_was_scheduled_at_the_desk_is_a_draft_again(person: Callable[..., Person]) -> None:
    publisher = person("publisher")
    path = write(publisher)
    schedule(publisher, path)
    said = run("withdraw", NAME)
    assert said == f"{NAME} is a draft at the desk again and will not go out by itself.\n"
    assert (released().state, released().publish_at) == (ReleaseState.DRAFT, None)
    assert last_act() == ("release.unschedule", "utskick", released().id)
    assert publisher.post(path, TYPED | {"revision": revision(publisher, path)}).status_code == 303


def test_what_was_published_is_withdrawn_and_written_down(person: Callable[..., Person]) -> None:
    publisher = person("publisher")
    path = write(publisher)
    publisher.post(f"{path}/send", {"revision": revision(publisher, f"{path}/send")})
    assert run("withdraw", NAME) == f"{NAME} is withdrawn.\n"
    assert last_act() == ("release.withdraw", "utskick", released().id)
    before = rows()
    assert run("withdraw", NAME) == f"{NAME} is already withdrawn.\n"
    assert rows() == before


def test_a_file_that_is_only_scheduled_can_be_mended_and_published(
    person: Callable[..., Person], tmp_path: Path
) -> None:
    publisher = person("publisher")
    gone = write(publisher)  # SQLite gives its number to the next
    publisher.post(f"{gone}/delete")
    file = tmp_path / "fran-fil.md"
    file.write_text(FILE.format(body="Fel."))
    run("publish", str(file), "--at", "2035-03-01 09:30")
    number = released().id
    assert run("withdraw", "norrvik/fran-fil") == "norrvik/fran-fil is withdrawn.\n"
    assert last_act() == ("release.withdraw", "utskick", number)
    file.write_text(FILE.format(body="Rätt."))
    run("publish", str(file))
    assert released().state is ReleaseState.PUBLISHED


def test_a_file_that_the_desk_has_changed_is_a_draft_again(person: Callable[..., Person], tmp_path: Path) -> None:
    publisher = person("publisher")
    file = tmp_path / "fran-fil.md"
    file.write_text(FILE.format(body="Text."))
    run("publish", str(file), "--at", "2035-03-01 09:30")
    path = f"/desk/norrvik/releases/{released().id}"
    publisher.post(f"{path}/unschedule")
    publisher.post(path, TYPED | {"slug": "fran-fil", "revision": revision(publisher, path)})
    schedule(publisher, path)
    assert "is a draft at the desk again" in run("withdraw", "norrvik/fran-fil")
    assert "Bron öppnar på måndag." in publisher.get(path).text
