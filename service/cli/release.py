"""`utskick release`: publish, list, withdraw."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from sqlalchemy.orm import Session

from service import audit, broker, database, drafts, files, moments, newsrooms, release_file, releases, settings
from service.cli import newsroom as newsroom_cli
from service.cli import show, waiting
from service.i18n import full_moment
from service.models import Newsroom, Release
from service.release_file import ReleaseFile
from service.releases import Publication, PublishError
from service.states import ReleaseState

app = typer.Typer(no_args_is_help=True, help="Press releases.")


@app.command()
def publish(
    path: Annotated[Path, typer.Argument(metavar="FILE.md", help="Markdown with YAML front matter.")],
    newsroom: Annotated[str, typer.Option(help="The newsroom, for a file that names none.")] = "",
    at: Annotated[str, typer.Option(help="When: 2026-03-01 09:30 in the newsroom's zone, or with an offset.")] = "",
    no_mail: Annotated[bool, typer.Option("--no-mail", help="On the web only: for an archive.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Show the mailing's progress until it is through.")] = False,
    as_json: show.Json = False,
) -> None:
    """Publish a release and mail it to everyone who follows. The same file again changes nothing."""
    if wait and (at or no_mail):
        raise typer.BadParameter("--wait has nothing to wait for with --at or --no-mail")
    database.check_schema()
    file = release_file.parse(files.read(path), path.name)
    if newsroom and file.newsroom not in ("", newsroom):
        raise typer.BadParameter(f"{path.name} names the newsroom {file.newsroom!r}, not {newsroom!r}")
    slug = newsroom or file.newsroom
    if not slug:
        raise typer.BadParameter(f"{path.name} names no newsroom; say which with --newsroom SLUG")
    done, room = _publish(slug, file, at, mailed=not no_mail)
    rung = done.dispatch is None or broker.ring(broker.EXPAND, done.dispatch.id)
    if as_json:
        show.as_json(_published(done, room))
    else:
        _say(done, room, rung=rung)
    if wait and done.dispatch is not None:
        waiting.wait(done.dispatch.id, quiet=as_json)


def _publish(slug: str, file: ReleaseFile, at: str, *, mailed: bool) -> tuple[Publication, Newsroom]:
    with database.transaction() as session:
        now = database.now(session)
        room = newsroom_cli.wanted(newsrooms.get(session, slug), slug)
        date = _old_date(file, room, now, mailed=mailed)
        when = _when(at, session, room, file, now)
        done = releases.publish(session, room, file, now, at=when, date=date, mailed=mailed)
        if when and done.release.state is ReleaseState.SCHEDULED and done.release.publish_at != when:
            raise PublishError(
                f"{room.slug}/{done.release.slug} is scheduled for another time; change it at the desk, or withdraw it "
                "and publish it again",
                "scheduled",
            )
        if done.made:
            act = "release.schedule" if when else "release.publish"
            audit.note(session, audit.COMMAND_LINE, act, now, room.id, file.headline, release=done.release.id)
        return done, room


def _when(at: str, session: Session, room: Newsroom, file: ReleaseFile, now: datetime) -> datetime | None:
    if not at:
        return None
    if releases.by_slug(session, room.id, file.slug):  # given again, perhaps after that time: nothing is made anew
        return moments.parse(at, room.timezone)
    return moments.parse_future(at, room.timezone, now)


def _old_date(file: ReleaseFile, room: Newsroom, now: datetime, *, mailed: bool) -> datetime | None:
    if not file.date:
        return None
    if mailed:
        raise typer.BadParameter("`date` in the file is for old releases: publish it with --no-mail")
    found = moments.parse(file.date, room.timezone)
    if found > now:
        raise typer.BadParameter(f"`date` {file.date} is still to come; use --at to publish then")
    return found


def _url(room: Newsroom, slug: str) -> str:
    return f"{settings.current().site}/{room.slug}/releases/{slug}"


def _published(done: Publication, room: Newsroom) -> dict[str, Any]:
    return {
        "release": f"{room.slug}/{done.release.slug}",
        "version": done.release.version,
        "dispatch": done.dispatch.id if done.dispatch else None,
        "url": _url(room, done.release.slug),
    }


def _say(done: Publication, room: Newsroom, *, rung: bool) -> None:
    release = done.release
    name = f"{room.slug}/{release.slug}"
    already = "" if done.made else "already "
    if done.shortened:
        typer.echo("It is too long for a mail: the mail ends with a link to the whole text.", err=True)
    if release.state is ReleaseState.SCHEDULED and release.publish_at:
        when = full_moment(release.publish_at, "en", room.timezone)
        typer.echo(f"{name} is {already}scheduled for {when} ({room.timezone}).")
        return
    typer.echo(f"{name} is {already}published: {_url(room, release.slug)}")
    if done.dispatch is None:
        typer.echo("It is on the web only; nobody is mailed.")
        return
    typer.echo(f"Dispatch {done.dispatch.id}: `utskick dispatch show {done.dispatch.id}` shows its books.")
    if not rung:
        typer.echo("The broker is away; the mailing begins by itself once broker and workers run.", err=True)


@app.command("list")
def list_(as_json: show.Json = False) -> None:
    """List the latest releases."""
    database.check_schema()
    with database.reading() as session:
        found = releases.every(session)
    if as_json:
        show.as_json(
            [
                {
                    "release": f"{one.release.newsroom.slug}/{one.release.slug}",
                    "version": one.release.version,
                    "state": one.release.state.value,
                    "headline": one.version.headline,
                    "publish_at": one.release.publish_at,
                    "published_at": one.release.published_at,
                }
                for one in found
            ]
        )
        return
    rows = [
        [f"{one.release.newsroom.slug}/{one.release.slug}", one.release.state.value, _moment(one), one.version.headline]
        for one in found
    ]
    show.table(["release", "state", "when", "headline"], rows, "No release yet: `utskick release publish FILE.md`.")


def _moment(one: releases.Published) -> str:
    moment = one.release.published_at or one.release.publish_at
    return full_moment(moment, "en", one.release.newsroom.timezone) if moment else ""


@app.command()
def withdraw(name: Annotated[str, typer.Argument(metavar="NEWSROOM/SLUG")]) -> None:
    """Take a release off the web (410) and stop its mailing. What was mailed cannot be called back.

    What is only scheduled nobody has seen: it goes, or is a draft again where somebody wrote it at the desk.
    """
    newsroom, slash, slug = name.partition("/")
    if not (newsroom and slash and slug):
        raise typer.BadParameter("name it NEWSROOM/SLUG")
    database.check_schema()
    with database.transaction() as session:
        room = newsroom_cli.wanted(newsrooms.get(session, newsroom), newsroom)
        release = releases.by_slug(session, room.id, slug)
        if release is None:
            _refuse(f"there is no release {name}; `utskick release list` shows them")
        now = database.now(session)
        release, version = drafts.read(session, room.id, release.id, lock=True)
        if release.state is ReleaseState.DRAFT:
            _refuse(f"{name} is a draft, which nobody outside has seen; delete it at the desk")
        act, said = _take_back(session, release, now)
        if act:
            audit.note(session, audit.COMMAND_LINE, act, now, room.id, version.headline, release=release.id)
    typer.echo(f"{name} {said}.")


def _take_back(session: Session, release: Release, now: datetime) -> tuple[str, str]:
    """Withdraw, or make a draft again what is written nowhere else; return the act (empty: none) and what to say."""
    scheduled = release.state is ReleaseState.SCHEDULED
    if scheduled and not audit.by_command_line_alone(session, release):
        drafts.unschedule(session, release.newsroom_id, release.id, now)
        return "release.unschedule", "is a draft at the desk again and will not go out by itself"
    if releases.withdraw(session, release, now):
        return "release.withdraw", "is withdrawn"
    return "", "is already withdrawn"


def _refuse(why: str) -> NoReturn:
    typer.echo(f"utskick: {why}", err=True)
    raise typer.Exit(1)
