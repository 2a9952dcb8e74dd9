"""The figures as tables, for people."""

from typing import Any

from rich.table import Table

from service.cli.bench.figures import Figures
from service.cli.show import console

WHAT = {
    "naive": "naive: Jinja, EmailMessage, smtplib",
    "django-style": "as Django does it, nothing rendered",
    "compiled": "compiled message, smtplib",
}
PATH = ("", "mails/s", "CPU-ms a mail", "PostgreSQL's", "speed", "CPU", "peak MB, worker / confirmations")


def show(figures: Figures) -> None:
    """Print all tables."""
    for line in _about(figures):
        console.print(line)
    for made in (_path(figures), _growth(figures)):
        if made.row_count:
            console.print()
            console.print(made)
    for line in (*_delay(figures), *_confirmations(figures)):
        console.print()
        console.print(line)


def _about(figures: Figures) -> list[str]:
    about, plan = figures["about"], figures["plan"]
    octets = next((f", mails of {one['median']['octets'] / 1000:.1f} kB" for one in figures["senders"].values()), "")
    servers = "; ".join(f"{label}, {about['brokers'][name]}" for name, label in about["databases"].items())
    return [
        f"Utskick {about['version']} on {about['machine']}, a flush to disk {about['flush_ms']:.2f} ms",
        f"{servers}; {about['sink']}{octets}",
        f"{plan['recipients']:,} recipients, one worker, {plan['connections']} connections, median of {plan['runs']}",
        *about["left_out"],
    ]


def _path(figures: Figures) -> Table:
    made = _table(*PATH)
    for name, one in figures["path"].items():
        row = one["median"]
        against = (f"{row['times_naive_speed']:.1f}×", f"1/{row['part_of_naive_cpu']:.1f}")
        label = f"publish to closed books, {figures['about']['databases'][name]}"
        made.add_row(label, *_rates(row["mails_per_second"], row["worker_cpu_ms"]), _ms(row), *against, _peaks(row))
    naive = figures["senders"].get("naive")
    for name, one in figures["senders"].items():
        row, ruler = one["median"], naive["median"]
        speed = row["mails_per_second"] / ruler["mails_per_second"]
        against = (f"{speed:.1f}×", f"1/{ruler['cpu_ms'] / row['cpu_ms']:.1f}")
        made.add_row(WHAT[name], *_rates(row["mails_per_second"], row["cpu_ms"]), "", *against, "")
    return made


def _growth(figures: Figures) -> Table:
    made = _table("recipients", "mails/s", "CPU-ms a mail", "PostgreSQL's", "peak MB, worker / confirmations", "runs")
    for row in figures["growth"]:
        rates = _rates(row["mails_per_second"], row["worker_cpu_ms"])
        made.add_row(f"{row['recipients']:,}", *rates, _ms(row), _peaks(row), str(row["runs"]))
    return made


def _table(*titles: str) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        made.add_column(title, justify="right" if title else "left")
    return made


def _rates(rate: float, cpu: float) -> tuple[str, str]:
    return f"{rate:,.0f}", f"{cpu:.3f}"


def _ms(row: dict[str, Any]) -> str:
    return "" if row["database_cpu_ms"] is None else f"{row['database_cpu_ms']:.3f}"


def _peaks(row: dict[str, Any]) -> str:
    return f"{row['worker_peak_mb']:.0f} / {row['confirmations_peak_mb']:.0f}"


def _delay(figures: Figures) -> list[str]:
    if figures["delay"] is None:
        return []
    plan, row = figures["plan"], figures["delay"]["median"]
    asked = (
        f"Answered after {plan['delay_ms']:g} ms, {plan['delay_connections']} connections, {plan['delayed']:,} mails"
    )
    reached = f"{row['mails_per_second']:,.0f} mails/s, {100 * row['part_of_alone']:.1f} % of the courier alone"
    return [f"{asked}: {reached} ({row['alone']:,.0f}); CPU-ms a mail {row['worker_cpu_ms']:.3f}"]


def _confirmations(figures: Figures) -> list[str]:
    found = figures["confirmations"]
    if found is None:
        return []
    answer, entry = found["from_answer"], found["from_entry"]
    asked = f"{found['requests']} requests to follow while {figures['plan']['recipients']:,} mails go out"
    return [f"{asked}: at the sink {_spread(answer)} after the answer, {_spread(entry)} after their entry"]


def _spread(found: dict[str, float]) -> str:
    return f"p50 {found['p50']:.2f} s, p99 {found['p99']:.2f} s, max {found['max']:.2f} s"
