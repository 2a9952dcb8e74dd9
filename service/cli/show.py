"""How the command line shows things: tables for people, JSON for programs."""

import json
import sys
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]

PIPED = 1000
"""Columns where no terminal says how many there are: a row is a line."""

console = Console(
    highlight=False, soft_wrap=True, markup=False, emoji=False, width=None if sys.stdout.isatty() else PIPED
)


def as_json(found: Any) -> None:
    """Print JSON; moments are UTC, ISO 8601."""
    typer.echo(json.dumps(found, ensure_ascii=False, indent=2, default=_plain))


def _plain(value: Any) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value)


def table(titles: list[str], rows: list[list[str]], empty: str) -> None:
    """Print rows under titles, or the one line that says there are none."""
    if not rows:
        console.print(empty, markup=False)
        return
    made = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        made.add_column(title, overflow="fold")  # a name cut short is no name
    for row in rows:
        made.add_row(*row)
    console.print(made)
