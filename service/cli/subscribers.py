"""`utskick subscribers`: import and count."""

import csv
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from service import address, database, files, imports, newsrooms, subscriptions
from service.address import Address
from service.cli import newsroom as newsroom_cli
from service.cli import show
from service.subscriptions import ConsentShown

app = typer.Typer(no_args_is_help=True, help="Those who follow.")

Newsroom = Annotated[str, typer.Option("--newsroom", metavar="SLUG", help="Whose followers.")]

AT_ONCE = 500
LARGEST = 100_000_000
"""Bytes in a list: some millions of addresses."""
HEADINGS = ("email", "e-mail", "e-post", "epost", "address", "adress", "sähköposti")
WORDS = {
    "empty": "no address",
    "long": "too long",
    "several": "several addresses",
    "control": "control characters",
    "local_part": "å, ä, ö or the like before the @ (ALLOW_SMTPUTF8 is off)",
    "domain": "its domain takes no mail",
    "syntax": "not an address",
}


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(metavar="FILE.csv", help="One address a line, or a column headed `email`.")],
    newsroom: Newsroom,
    consent: Annotated[str, typer.Option(help="What they agreed to, and where: kept as the proof of consent.")],
) -> None:
    """Bring followers along from elsewhere, confirmed at once. Again with the same file changes nothing."""
    if not consent.strip() or not consent.isprintable():
        raise typer.BadParameter("--consent must say what they agreed to, in one line")
    database.check_schema()
    good, bad = _read(path)
    entered, left = _enter(newsroom, good, consent.strip())
    there = len(good) - entered - left
    typer.echo(f"{entered:,} entered, {there:,} there already or twice in the file, {len(bad):,} refused.")
    if left:
        typer.echo(f"{left:,} had left and stay away; they can follow again themselves.")
    for line, code in bad:
        typer.echo(f"{path.name}:{line}: {WORDS[code]}", err=True)
    if bad:
        raise typer.Exit(1)


def _enter(slug: str, good: list[Address], consent: str) -> tuple[int, int]:
    entered = left = 0
    version = hashlib.sha256(consent.encode()).hexdigest()[:12]
    with database.reading() as session:
        subscriptions.check_key(session)
        room = newsroom_cli.wanted(newsrooms.get(session, slug), slug)
    shown = ConsentShown(text=consent, version=version, page="import", language=room.language)
    for start in range(0, len(good), AT_ONCE):
        some = good[start : start + AT_ONCE]
        with database.transaction() as session:
            done = imports.import_addresses(session, room, some, shown, database.now(session))
        entered, left = entered + done.entered, left + done.left
    return entered, left


def _read(path: Path) -> tuple[list[Address], list[tuple[int, str]]]:
    """Return the good addresses, and line and code of each bad one."""
    good: list[Address] = []
    bad: list[tuple[int, str]] = []
    text = files.read(path, LARGEST)
    first = text.partition("\n")[0]
    delimiter = ";" if ";" in first and "," not in first else ","  # what a Nordic spreadsheet writes
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    column = 0
    for row in _lines(reader, path.name):
        names = [cell.strip().casefold() for cell in row]
        heading = next((names.index(name) for name in HEADINGS if name in names), None)
        if reader.line_num == 1 and heading is not None:
            column = heading
            continue
        if not any(names):
            continue
        try:
            good.append(address.parse(row[column] if column < len(row) else ""))
        except address.BadAddress as error:
            bad.append((reader.line_num, error.code))
    return good, bad


def _lines(reader: Any, name: str) -> Iterator[list[str]]:
    line = 0
    try:
        for row in reader:
            if reader.line_num > line + 1:
                raise files.FileError(name, line + 1, "", "a quote is not closed on its line; nothing was imported")
            line = reader.line_num
            yield row
    except csv.Error as error:
        raise files.FileError(name, reader.line_num, "", f"not valid CSV: {error}") from None


@app.command()
def count(newsroom: Newsroom, as_json: show.Json = False) -> None:
    """Count a newsroom's followers."""
    database.check_schema()
    with database.reading() as session:
        room = newsroom_cli.wanted(newsrooms.get(session, newsroom), newsroom)
        found = {state.value: number for state, number in subscriptions.count(session, room.id).items()}
    if as_json:
        show.as_json({"newsroom": newsroom} | found)
    else:
        show.table(["state", "number"], [[state, f"{number:,}"] for state, number in found.items()], "")
