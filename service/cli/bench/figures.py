"""What was found, as figures: medians over the runs, ratios against the naive sender of the same run."""

import os
import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version
from statistics import mean, median
from typing import Any

from service.cli.bench import brokers
from service.cli.bench.cases import Delayed, Findings, Run
from service.cli.bench.lap import Lap
from service.cli.bench.mailing import Measured
from service.cli.bench.plan import Plan
from service.cli.bench.workshop import SENDERS, Workshop

Figures = dict[str, Any]
MEGABYTE = 1_000_000
NAIVE = SENDERS[0]


def of(shop: Workshop, found: Findings) -> Figures:
    """Return all figures: rates in mails/s, CPU in ms for each mail, memory in MB, waits in seconds."""
    laps = {name: [block[name] for block in found.laps] for name in SENDERS if found.laps}
    return {
        "about": _about(shop),
        "plan": _plan(shop.plan),
        "path": {database.value: _path(runs) for database, runs in found.path.items()},
        "senders": {name: {"median": _medians(rows), "laps": rows} for name, rows in _rows_of(laps, _lap).items()},
        "delay": _delay(found.delayed),
        "growth": _growth(found.growth),
        "confirmations": _waits(found) if found.waited else None,
    }


def _about(shop: Workshop) -> Figures:
    return {
        "version": version("utskick"),
        "machine": f"{platform.system()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
        "flush_ms": shop.flush_ms,
        "databases": {name.value: server.label for name, server in shop.servers.items()},
        "brokers": {
            name.value: brokers.label(embedded=server.embedded_broker) for name, server in shop.servers.items()
        },
        "sink": shop.relay.label,
        "left_out": shop.left_out,
    }


def _plan(plan: Plan) -> Figures:
    names = ("recipients", "runs", "baseline", "connections", "delayed", "delay_ms", "delay_connections")
    return {name: getattr(plan, name) for name in names}


def _measured(one: Measured) -> Figures:
    return {
        "recipients": one.recipients,
        "seconds": one.seconds,
        "mails_per_second": one.rate,
        "worker_cpu_ms": one.worker_cpu,
        "database_cpu_ms": one.database_cpu,
        "worker_peak_mb": one.worker_peak / MEGABYTE,
        "confirmations_peak_mb": one.confirmations_peak / MEGABYTE,
    }


def _lap(lap: Lap) -> Figures:
    return {"mails": lap.mails, "mails_per_second": lap.rate, "cpu_ms": lap.cpu, "octets": lap.octets}


def _rows_of(laps: dict[str, list[Lap]], row: Callable[[Lap], Figures]) -> dict[str, list[Figures]]:
    return {name: [row(lap) for lap in of_one] for name, of_one in laps.items()}


def _path(runs: list[Run]) -> Figures:
    rows = [_measured(run.measured) | _against(run) for run in runs]
    return {"median": _medians(rows), "runs": rows}


def _against(run: Run) -> Figures:
    """Compare with the naive sender right before and after: so many times its speed, one so many of its CPU."""
    naive = (run.before[NAIVE], run.after[NAIVE])
    return {
        "times_naive_speed": run.measured.rate / mean(lap.rate for lap in naive),
        "part_of_naive_cpu": mean(lap.cpu for lap in naive) / run.measured.worker_cpu,
    }


def _delay(delayed: list[Delayed]) -> Figures | None:
    if not delayed:
        return None
    rows = []
    for one in delayed:
        alone = mean((one.before.rate, one.after.rate))
        rows.append(_measured(one.measured) | {"alone": alone, "part_of_alone": one.measured.rate / alone})
    return {"median": _medians(rows), "runs": rows}


def _growth(points: list[Measured]) -> list[Figures]:
    sizes = sorted({point.recipients for point in points})
    return [
        _medians([_measured(point) for point in points if point.recipients == size])
        | {"runs": sum(point.recipients == size for point in points)}
        for size in sizes
    ]


def _waits(found: Findings) -> Figures:
    return {
        "requests": len(found.waited),
        "from_answer": _spread(one.from_answer for one in found.waited),
        "from_entry": _spread(one.from_entry for one in found.waited),
    }


def _spread(seconds: Iterable[float]) -> Figures:
    ordered = sorted(seconds)
    return {"p50": median(ordered), "p99": ordered[-(len(ordered) // 100) - 1], "max": ordered[-1]}


def _medians(rows: list[Figures]) -> Figures:
    return {
        name: None if any(row[name] is None for row in rows) else median(row[name] for row in rows) for name in rows[0]
    }
