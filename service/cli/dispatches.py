"""`utskick dispatch`: the books."""

from typing import Annotated

import typer

from service import books, database, relay, settlement
from service.books import Books
from service.cli import show
from service.i18n import full_moment
from service.models import Relay

app = typer.Typer(no_args_is_help=True, help="Mailings and their books.")

COUNTS = ("accepted", "refused", "skipped", "uncertain", "pending")

Number = Annotated[int, typer.Argument(metavar="ID", min=1, max=2**31 - 1)]


@app.command("list")
def list_(as_json: show.Json = False) -> None:
    """List the latest dispatches with their books."""
    database.check_schema()
    with database.reading() as session:
        found = books.latest(session)
    if as_json:
        show.as_json([show.books(one) for one in found])
        return
    rows = [
        [
            str(one.dispatch.id),
            f"{one.dispatch.release.newsroom.slug}/{one.dispatch.release.slug}",
            one.dispatch.state.value,
            _number(one.recipients),
            *(_number(getattr(one, name)) for name in COUNTS),
        ]
        for one in found
    ]
    show.table(["id", "release", "state", "recipients", *COUNTS], rows, "No dispatch yet.")


@app.command("show")
def show_(number: Number, as_json: show.Json = False) -> None:
    """Show a dispatch's books: who got it, who did not, who is still to come."""
    database.check_schema()
    with database.reading() as session:
        found = books.of(session, number)
        away = relay.state(session)
    if found is None:
        raise _unknown(number)
    if as_json:
        trouble = {"unreachable_since": away.unreachable_since, "last_words": away.last_words} if away else None
        show.as_json(show.books(found) | {"relay": trouble})
        return
    _print(found, away)


@app.command()
def decide(
    number: Number,
    resend: Annotated[
        bool, typer.Option("--resend/--leave", help="Send the held mails again (some may get two), or leave them.")
    ],
) -> None:
    """Decide on the uncertain mails that UNCERTAIN=hold keeps."""
    database.check_schema()
    with database.transaction() as session:
        if books.of(session, number) is None:
            raise _unknown(number)
        decided = settlement.decide_held(session, number, database.now(session), resend=resend)
    if not decided:
        typer.echo("Nothing is held.")
        return
    typer.echo(f"{decided} held: {'to be sent again' if resend else 'left as uncertain'}.")


def _unknown(number: int) -> typer.Exit:
    typer.echo(f"utskick: there is no dispatch {number}; `utskick dispatch list` shows them", err=True)
    return typer.Exit(1)


def _print(found: Books, away: Relay | None) -> None:
    dispatch, release = found.dispatch, found.dispatch.release
    zone = release.newsroom.timezone
    typer.echo(f"Dispatch {dispatch.id} of {release.newsroom.slug}/{release.slug}: {dispatch.state.value}")
    for name in ("recipients", *COUNTS):
        typer.echo(f"  {name:<11}{_number(getattr(found, name)):>9}")
    if dispatch.started_at:
        typer.echo(f"  begun     {full_moment(dispatch.started_at, 'en', zone)}")
    if dispatch.finished_at:
        typer.echo(f"  ended     {full_moment(dispatch.finished_at, 'en', zone)}")
    for line in remarks(found, away):
        typer.echo(line)


def remarks(found: Books, away: Relay | None) -> list[str]:
    """Return what a person should know beside the numbers."""
    zone = found.dispatch.release.newsroom.timezone
    lines = []
    if found.deferred and found.next_due:
        lines.append(f"{found.deferred} wait for a later try, the first at {full_moment(found.next_due, 'en', zone)}.")
    if found.held:
        lines.append(f"{found.held} uncertain ones are held: `utskick dispatch decide {found.dispatch.id}`.")
    if away and away.unreachable_since and found.pending:
        since = full_moment(away.unreachable_since, "en", zone)
        lines.append(f"Relay unreachable since {since}: {away.last_words}. It goes on by itself.")
    return lines


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
