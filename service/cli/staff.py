"""`utskick staff`: people of the desk, and programs' keys."""

from typing import Annotated

import typer
from sqlalchemy.orm import Session

from service import address, audit, database, keys, newsrooms, settings, staff
from service.address import Address
from service.cli import newsroom as newsroom_cli
from service.cli import show
from service.i18n import full_moment
from service.models import Staff
from service.states import Role

app = typer.Typer(no_args_is_help=True, help="People of the desk, and keys for programs.")

Who = Annotated[str, typer.Argument(metavar="ADDRESS", help="Their email address.")]
Where = Annotated[str, typer.Option("--newsroom", metavar="SLUG", help="In which newsroom.")]
What = Annotated[Role, typer.Option("--role", help="editor (drafts), publisher (sends) or admin (settings, people).")]


@app.command()
def add(
    who: Who,
    newsroom: Where,
    role: What,
    name: Annotated[str, typer.Option(help="What they are called at the desk.")] = "",
    as_json: show.Json = False,
) -> None:
    """Give somebody a role in a newsroom; one without a password, or from elsewhere, gets a one-time link to set it."""
    good = _address(who)
    if not name.isprintable() or len(name) > 200:
        raise typer.BadParameter("--name must be one line of at most 200 characters")
    database.check_schema()
    with database.transaction() as session:
        now = database.now(session)
        room = newsroom_cli.wanted(newsrooms.get(session, newsroom), newsroom)
        added = staff.add(session, good, name.strip(), room, role, now)
        audit.note(
            session,
            audit.COMMAND_LINE,
            "staff.add",
            now,
            room.id,
            added.staff.address,
            role=role.value,
            voided=added.voided,
        )
    link = _link(added.token) if added.token else None
    if as_json:
        until = added.staff.link_expires_at if link else None
        told = {"address": added.staff.address, "newsroom": newsroom, "role": role.value}
        show.as_json(told | {"link": link, "link_expires_at": until, "voided": added.voided})
        return
    typer.echo(f"{added.staff.address} is {role.value} of {newsroom}.")
    if added.voided:
        typer.echo("They had an account from elsewhere: its password, link and log-ins are void.")
    _tell(link, added.staff)


@app.command()
def link(who: Who, as_json: show.Json = False) -> None:
    """Make a new one-time link for somebody to set a password; the old password works until then."""
    database.check_schema()
    with database.transaction() as session:
        now = database.now(session)
        known = _known(session, who)
        made = _link(staff.new_link(session, known, now))
        audit.note(session, audit.COMMAND_LINE, "staff.link", now, subject=known.address)
    if as_json:
        show.as_json({"address": known.address, "link": made, "link_expires_at": known.link_expires_at})
    else:
        _tell(made, known)


@app.command("list")
def list_(
    newsroom: Annotated[str, typer.Option(help="Of one newsroom only.")] = "", as_json: show.Json = False
) -> None:
    """List who may do what where."""
    database.check_schema()
    with database.reading() as session:
        room = newsroom_cli.wanted(newsrooms.get(session, newsroom), newsroom) if newsroom else None
        found = staff.members(session, room.id if room else None)
    rows = [[one.staff.address, one.staff.name, one.newsroom.slug, one.role.value] for one in found]
    titles = ["address", "name", "newsroom", "role"]
    if as_json:
        show.as_json([dict(zip(titles, row, strict=True)) for row in rows])
    else:
        show.table(titles, rows, "Nobody yet: `utskick staff add ADDRESS --newsroom SLUG --role publisher`.")


@app.command()
def remove(who: Who, newsroom: Where) -> None:
    """Take somebody's role in a newsroom away; it counts from their next click."""
    database.check_schema()
    with database.transaction() as session:
        room = newsroom_cli.wanted(newsrooms.get(session, newsroom), newsroom)
        known = _known(session, who)
        done = staff.remove(session, known.id, room.id)
        if done:
            now = database.now(session)
            audit.note(session, audit.COMMAND_LINE, "staff.remove", now, room.id, known.address)
    typer.echo(f"{known.address} {'has no role in' if done else 'had no role in'} {newsroom}{' any more' * done}.")


@app.command()
def logout(who: Who) -> None:
    """Log somebody out of every browser."""
    database.check_schema()
    with database.transaction() as session:
        known = _known(session, who)
        staff.log_out_everywhere(session, known.id)
        audit.note(session, audit.COMMAND_LINE, "logout", database.now(session), subject=known.address)
    typer.echo(f"{known.address} is logged out everywhere.")


@app.command()
def key(
    newsroom: Where,
    role: What,
    name: Annotated[str, typer.Option(help="What will use it.")],
    as_json: show.Json = False,
) -> None:
    """Make a key for a program and print it, this once."""
    if not name.strip() or not name.isprintable() or len(name) > 100:
        raise typer.BadParameter("--name must say what uses the key, in one line of at most 100 characters")
    database.check_schema()
    with database.transaction() as session:
        now = database.now(session)
        room = newsroom_cli.wanted(newsrooms.get(session, newsroom), newsroom)
        made, secret = keys.make(session, room, role, name.strip(), now)
        audit.note(session, audit.COMMAND_LINE, "key.make", now, room.id, made.name, role=role.value)
    if as_json:
        show.as_json({"number": made.id, "newsroom": newsroom, "role": role.value, "name": made.name, "key": secret})
        return
    typer.echo(f"Key {made.id} ({made.name}, {role.value} of {newsroom}), shown this once:")
    typer.echo(secret)


@app.command("keys")
def keys_(as_json: show.Json = False) -> None:
    """List the keys: what they open, and their beginnings."""
    database.check_schema()
    with database.reading() as session:
        found = keys.every(session)
    titles = ["number", "newsroom", "role", "name", "begins", "state"]
    rows = [
        [str(one.id), one.newsroom.slug, one.role.value, one.name, one.hint, "revoked" if one.revoked_at else "open"]
        for one in found
    ]
    if as_json:
        show.as_json([dict(zip(titles, row, strict=True)) | {"number": int(row[0])} for row in rows])
    else:
        show.table(titles, rows, "No key yet: `utskick staff key --newsroom SLUG --role publisher --name CMS`.")


@app.command()
def revoke(number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, max=2**31 - 1)]) -> None:
    """Close a key for good."""
    database.check_schema()
    with database.transaction() as session:
        now = database.now(session)
        found = {one.id: one for one in keys.every(session)}.get(number)
        if found is None:
            typer.echo(f"utskick: there is no key {number}; `utskick staff keys` shows them", err=True)
            raise typer.Exit(1)
        done = keys.revoke(session, number, now)
        if done:
            audit.note(session, audit.COMMAND_LINE, "key.revoke", now, found.newsroom_id, found.name)
    typer.echo(f"Key {number} ({found.name}) {'is' if done else 'was already'} revoked.")


def _address(who: str) -> Address:
    try:
        return address.parse(who)
    except address.BadAddress:
        raise typer.BadParameter(f"{who!r} is not an email address") from None


def _known(session: Session, who: str) -> Staff:
    found = staff.by_address(session, who.strip())
    if found is None:
        typer.echo(f"utskick: nobody at the desk has the address {who}; `utskick staff list` shows them", err=True)
        raise typer.Exit(1)
    return found


def _link(token: str) -> str:
    return f"{settings.current().site}/desk/password/{token}"


def _tell(link: str | None, known: Staff) -> None:
    if link is None:
        typer.echo("They have a password already; `utskick staff link` makes a link to set a new one.")
        return
    until = full_moment(known.link_expires_at, "en", "UTC") if known.link_expires_at else ""
    typer.echo(f"Give them this link yourself; it works once, until {until} (UTC):\n{link}")
