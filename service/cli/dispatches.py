"""`utskick dispatch`: the books."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from service import audit, bells, books, database, relay, settings, settlement
from service.books import Books
from service.cli import show
from service.i18n import full_date, full_moment
from service.models import Relay
from service.states import DispatchState

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
        show.as_json([books.told(one) for one in found])
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
        show.as_json(books.told(found) | {"relay": trouble})
        return
    _print(found, away)


@app.command()
def decide(
    number: Number,
    resend: Annotated[bool, typer.Option("--resend", help="Send the held mails again: some may get two.")] = False,
    leave: Annotated[bool, typer.Option("--leave", help="Leave them as uncertain: some may get none.")] = False,
) -> None:
    """Decide on the uncertain mails that UNCERTAIN=hold keeps."""
    if resend == leave:
        raise typer.BadParameter("say which: --resend or --leave")
    database.check_schema()
    with database.transaction() as session:
        found = books.of(session, number)
        if found is None:
            raise _unknown(number)
        now = database.now(session)
        decided = settlement.decide_held(session, number, now, resend=resend)
        if decided:
            _note(session, found, "dispatch.decide", now, resend=resend)
    if decided and resend:
        bells.ring_if_lost(number)
    if not decided:
        typer.echo("Nothing is held.")
        return
    typer.echo(f"{decided} held: {'to be sent again' if resend else 'left as uncertain'}.")


@app.command()
def pause(number: Number) -> None:
    """Hold a mailing: no further mail is begun until it is resumed."""
    done, found = _control(number, "dispatch.pause", lambda session, _: settlement.pause(session, number))
    if not done and found.dispatch.state is not DispatchState.PAUSED:
        raise _ended(found)
    typer.echo(f"Dispatch {number} is {'paused' if done else 'already paused'}.")


@app.command()
def resume(number: Number) -> None:
    """Let a paused mailing go on where it was."""
    done, found = _control(number, "dispatch.resume", lambda session, now: settlement.resume(session, number, now))
    if done:
        bells.ring_if_lost(number)
    if not done and found.dispatch.state not in (DispatchState.EXPANDING, DispatchState.SENDING):
        raise _ended(found)
    typer.echo(f"Dispatch {number} {'goes on' if done else 'was not paused'}.")


@app.command()
def cancel(number: Number) -> None:
    """Stop a mailing for good: what waits is skipped. It cannot be resumed."""
    done, found = _control(number, "dispatch.cancel", lambda session, now: settlement.cancel(session, number, now))
    if not done and found.dispatch.state is not DispatchState.CANCELLED:
        raise _ended(found)
    got = f"{found.accepted:,} have got it, {found.skipped:,} will not"
    rest = "are skipped shortly, but for those in hand this moment, which may still be accepted"
    hand = f"; {found.pending:,} pending {rest}" if found.pending else ""
    typer.echo(f"Dispatch {number} is {'stopped' if done else 'already stopped'}: {got}{hand}.")


def _control(number: int, act: str, change: Callable[[Session, datetime], bool]) -> tuple[bool, Books]:
    """Change a dispatch's state, with its audit row; return whether this call did it, and the books after it."""
    database.check_schema()
    with database.transaction() as session:
        if books.of(session, number) is None:
            raise _unknown(number)
        now = database.now(session)
        done = change(session, now)
        found = books.of(session, number)
        assert found is not None  # noqa: S101 - it was there a moment ago
        if done:
            _note(session, found, act, now)
    return done, found


def _note(session: Session, found: Books, act: str, now: datetime, **details: Any) -> None:
    number, room = found.dispatch.id, found.dispatch.release.newsroom_id
    headline = books.headline(session, number)
    audit.note(session, audit.COMMAND_LINE, act, now, room, headline, dispatch=number, **details)


def _ended(found: Books) -> typer.Exit:
    typer.echo(f"utskick: dispatch {found.dispatch.id} has ended: it is {found.dispatch.state.value}", err=True)
    return typer.Exit(1)


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
    if found.dispatch.state is DispatchState.PAUSED:
        lines.append(f"It is paused: `utskick dispatch resume {found.dispatch.id}` lets it go on.")
    if found.deferred and found.next_due:
        lines.append(f"{found.deferred} wait for a later try, the first at {full_moment(found.next_due, 'en', zone)}.")
    if found.held:
        lines.append(f"{found.held} uncertain ones are held: `utskick dispatch decide {found.dispatch.id}`.")
    if away and away.unreachable_since and found.pending:
        since = full_moment(away.unreachable_since, "en", zone)
        lines.append(f"Relay unreachable since {since}: {away.last_words}. It goes on by itself.")
    if found.dispatch.folded_at:
        since = full_date(found.dispatch.folded_at, "en", zone)
        days = settings.current().keep_deliveries
        lines.append(f"Only the numbers are kept since {since}: who got it is erased {days} days after the end.")
    return lines


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
