"""`release publish --wait`: a progress bar over the books."""

from threading import Event

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import DBAPIError

from service import books, database, relay
from service.books import Books
from service.cli.dispatches import remarks
from service.models import Relay
from service.states import DispatchState

EVERY = 0.3
IDLE = 10
"""Looks without a worker at it before we say so."""


def wait(dispatch_id: int, *, quiet: bool) -> None:
    """Show progress until only deferred or held mail remains; Ctrl-C ends the waiting, not the dispatch (exit 1)."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=quiet,
    )
    try:
        with bar:
            found, away = _follow(bar, dispatch_id)
    except KeyboardInterrupt:
        typer.echo("No longer waiting; the dispatch goes on.", err=True)
        raise typer.Exit(1) from None
    if not quiet:
        _conclude(found, away)
    if found.dispatch.state is DispatchState.CANCELLED:
        typer.echo("The dispatch was stopped: nobody else gets it.", err=True)
        raise typer.Exit(1)


def _follow(bar: Progress, dispatch_id: int) -> tuple[Books, Relay | None]:
    task = bar.add_task("Waiting for a worker", total=None)
    idle, said, pause = 0, "", Event()
    while True:
        found, away, in_hand = _look(dispatch_id)
        if _through(found):
            bar.update(task, total=found.recipients, completed=_done(found), description="Mailed")
            return found, away
        idle = 0 if in_hand or found.dispatch.state is DispatchState.PAUSED else idle + 1
        trouble = _trouble(found, away, idle)
        if trouble and trouble != said:
            bar.console.print(trouble, markup=False)
        said = trouble
        bar.update(
            task, total=found.recipients, completed=_done(found), description="Mailing" if in_hand else "Waiting"
        )
        pause.wait(EVERY)


def _done(found: Books) -> int:
    return (found.recipients or 0) - found.pending


def _look(dispatch_id: int) -> tuple[Books, Relay | None, bool]:
    while True:
        try:
            with database.reading() as session:
                found = books.of(session, dispatch_id)
                assert found is not None  # noqa: S101 - a dispatch is never deleted
                return found, relay.state(session), books.in_hand(session, "dispatches", database.now(session))
        except DBAPIError as error:
            if not database.is_away(error):
                raise
            Event().wait(EVERY)


def _through(found: Books) -> bool:
    if found.dispatch.state in (DispatchState.FINISHED, DispatchState.CANCELLED):
        return found.pending == found.deferred
    if found.dispatch.state is DispatchState.PAUSED:
        return False
    return found.recipients is not None and found.pending == found.deferred


def _trouble(found: Books, away: Relay | None, idle: int) -> str:
    if found.dispatch.state is DispatchState.PAUSED:
        return f"It is paused: `utskick dispatch resume {found.dispatch.id}` lets it go on. Waiting for that."
    if away is not None:
        return f"The relay is unreachable: {away.last_words}. Waiting for it; Ctrl-C stops the waiting only."
    if idle > IDLE:
        return "No worker has taken it up. Are `utskick up` or the Procfile's processes running?"
    return ""


def _conclude(found: Books, away: Relay | None) -> None:
    typer.echo(
        f"{found.accepted:,} accepted, {found.refused:,} refused, {found.skipped:,} skipped, "
        f"{found.uncertain:,} uncertain of {found.recipients or 0:,}."
    )
    for line in remarks(found, away):
        typer.echo(line)
