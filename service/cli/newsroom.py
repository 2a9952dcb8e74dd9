"""`utskick newsroom`: load, list, show."""

from pathlib import Path
from typing import Annotated

import typer

from service import audit, database, files, newsrooms, settings
from service.cli import show
from service.models import Newsroom

app = typer.Typer(no_args_is_help=True, help="Press rooms.")


@app.command()
def load(path: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="The newsroom's fields.")]) -> None:
    """Make a newsroom from a YAML file, or make it be as the file says."""
    database.check_schema()
    file = newsrooms.parse_file(files.read(path), path.name)
    with database.transaction() as session:
        there = newsrooms.get(session, file.slug)
        before = newsrooms.fields(there) if there else {}
        now = database.now(session)
        loaded = newsrooms.load(session, file, now)
        changed = newsrooms.changed(before, newsrooms.fields(loaded))
        audit.note(session, audit.COMMAND_LINE, "newsroom.save", now, loaded.id, loaded.name, changed=changed)
    config = settings.current()
    typer.echo(f"{'Updated' if before else 'Made'} {file.slug} ({file.name}): {config.site}/{file.slug}")
    if before:
        typer.echo(f"Changed: {', '.join(changed) or 'nothing'}.")
    if not file.address:
        typer.echo("Warning: no postal address (`address`), which every mail owes its readers.", err=True)
    if file.sender is None:
        sender = f"{file.slug}@{config.domain}"
        typer.echo(f"Warning: no sender; mail is from {sender}, which must take replies.", err=True)


@app.command("list")
def list_(as_json: show.Json = False) -> None:
    """List the newsrooms."""
    database.check_schema()
    with database.reading() as session:
        found = newsrooms.every(session)
    if as_json:
        show.as_json([{"slug": one.slug, "name": one.name, "language": one.language} for one in found])
        return
    show.table(
        ["slug", "name", "language"],
        [[one.slug, one.name, one.language] for one in found],
        "No newsroom yet: `utskick newsroom load FILE.yaml` makes one.",
    )


@app.command("show")
def show_(slug: str, as_json: show.Json = False) -> None:
    """Print a newsroom as the YAML that `load` reads."""
    database.check_schema()
    with database.reading() as session:
        found = wanted(newsrooms.get(session, slug), slug)
        fields = newsrooms.fields(found)
    if as_json:
        show.as_json(fields)
    else:
        typer.echo(newsrooms.as_yaml(fields), nl=False)


def wanted(found: Newsroom | None, slug: str) -> Newsroom:
    """Return the newsroom, or end the command where there is none of that name."""
    if found is None:
        typer.echo(f"utskick: there is no newsroom {slug!r}; `utskick newsroom list` shows them", err=True)
        raise typer.Exit(1)
    return found
