"""`utskick bench`: measure the whole way of a mailing on this machine."""

import json
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli import show
from service.cli.bench import cases, chart, figures, table
from service.cli.bench.plan import Case, Database, Plan
from service.cli.bench.process import Broken
from service.cli.bench.workshop import Workshop

FULL = {"recipients": 100_000, "baseline": 5_000, "most": 1_000_000}
QUICK = {"recipients": 10_000, "baseline": 1_000, "most": 10_000}
NAME = "bench"


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of it: minutes rather than half an hour.")] = False,
    recipients: Annotated[int | None, typer.Option(min=1, help="Followers of a mailing; 100,000 unless said.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Runs, of which the median counts.")] = 3,
    baseline: Annotated[
        int | None, typer.Option(min=1, help="Mails of each sender without books, before and after; 5,000 unless said.")
    ] = None,
    most: Annotated[
        int | None, typer.Option(min=1, help="Followers of the last point of growth; 1,000,000 unless said.")
    ] = None,
    database: Annotated[list[Database] | None, typer.Option(help="Where the ledger is; both unless said.")] = None,
    case: Annotated[list[Case] | None, typer.Option(help="What is measured; everything unless said.")] = None,
    connections: Annotated[int, typer.Option(min=1, max=32, help="Connections to the sink.")] = 4,
    delay: Annotated[float, typer.Option(min=0.1, help="Milliseconds before the answer, in the case `delay`.")] = 20,
    delay_connections: Annotated[int, typer.Option(min=1, max=32, help="Connections in the case `delay`.")] = 32,
    built_in: Annotated[bool, typer.Option("--built-in", help="Our own sink, also where smtp-sink is there.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(file_okay=False, exists=True, writable=True, help="For bench.json and bench.svg."),
    ] = None,
    as_json: show.Json = False,
) -> None:
    """Measure mailings on this machine, beside senders that keep no books.

    Everything it needs is its own, on free ports and in temporary directories: no setting, database or mail of yours
    is touched. Leave the machine alone meanwhile. Exit 1: mail was lost, or books did not balance.
    """
    sizes = (QUICK if quick else FULL) | {
        name: value for name, value in (("recipients", recipients), ("baseline", baseline), ("most", most)) if value
    }
    plan = Plan(
        **sizes,
        runs=runs,
        connections=connections,
        delay_ms=delay,
        delay_connections=delay_connections,
        databases=tuple(dict.fromkeys(database or Database)),
        cases=tuple(case or Case),
        built_in=built_in,
    )
    _listen()
    found = _measured(plan)
    if output is not None:
        _write(output, found)
    if as_json:
        show.as_json(found)
    else:
        table.show(found)


def _measured(plan: Plan) -> figures.Figures:
    try:
        with Workshop(plan, lambda line: typer.echo(f"bench: {line}", err=True)) as shop:
            return figures.of(shop, cases.run(shop))
    except KeyboardInterrupt:
        typer.echo("utskick bench: stopped; nothing is left of it", err=True)
    except Broken as broken:
        typer.echo(f"utskick bench: {broken}", err=True)
    raise typer.Exit(1)


def _listen() -> None:
    """Take the first Ctrl-C, SIGTERM or closed terminal as the wish to stop, and finish tidying up whatever follows."""
    wishes = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(*_: Any) -> None:
        for number in wishes:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in wishes:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, stop)


def _write(folder: Path, found: figures.Figures) -> None:
    text = json.dumps(found, ensure_ascii=False, indent=2)
    (folder / f"{NAME}.json").write_text(f"{text}\n", encoding="utf-8")
    if found["growth"]:
        (folder / f"{NAME}.svg").write_text(chart.draw(found), encoding="utf-8")
