"""The cost of a mail over the number of recipients, drawn: an SVG that reads by day and by night."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from service.cli.bench.figures import Figures

WIDTH, HEIGHT = 760, 550
LEFT, RIGHT, PANEL = 84, 560, 170
TOPS = (68, 298)
TICKS = 4
ACROSS = "recipients (each step is ten times as many)"
DIGITS = 3
STYLE = """
  text { font: 14px "Source Sans 3", "Segoe UI", "DejaVu Sans", sans-serif; fill: #22282c }
  .title { font-size: 17px; font-weight: 600 } .small { font-size: 13px; fill: #4d585f }
  .ground { fill: #ffffff } .grid { stroke: #d5dbdf } .axis { stroke: #6b767d }
  .a { stroke: #1f5f4a; fill: #1f5f4a } .b { stroke: #a14e00; fill: #a14e00 }
  path.a, path.b { fill: none; stroke-width: 2.5 } text.a, text.b { stroke: none; font-weight: 600 }
  path.b { stroke-dasharray: 7 4 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e8edf0 } .small { fill: #aab5bc } .ground { fill: #14191c } .grid { stroke: #333d43 }
    .axis { stroke: #8b979e } .a { stroke: #6fcfae; fill: #6fcfae } .b { stroke: #f0a35e; fill: #f0a35e }
    path.a, path.b { fill: none }
  }
"""


@dataclass(frozen=True)
class Line:
    """One line of a panel: its name, its look (`a` or `b`), and a value for each number of recipients."""

    name: str
    look: str
    values: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """One set of axes; its values are shown from 0 up."""

    title: str
    lines: Sequence[Line]
    top: int

    @property
    def highest(self) -> float:
        """The value at its upper edge, a round one."""
        return _round_up(max(value for line in self.lines for value in line.values))

    def y(self, value: float) -> float:
        """Return where a value is."""
        return self.top + PANEL * (1 - value / self.highest)


def draw(figures: Figures) -> str:
    """Return the SVG of growth's points; there must be one at least."""
    points = figures["growth"]
    sizes = [point["recipients"] for point in points]
    panels = [Panel("Mails a second", [Line("Utskick", "a", _column(points, "mails_per_second"))], TOPS[0])]
    costs = [Line("worker", "a", _column(points, "worker_cpu_ms"))]
    if points[0]["database_cpu_ms"] is not None:
        costs.append(Line("PostgreSQL", "b", _column(points, "database_cpu_ms")))
    panels.append(Panel("CPU time for each mail, ms", costs, TOPS[1]))
    about = figures["about"]
    database = next(iter(about["databases"].values()))
    said = f"One worker, {figures['plan']['connections']} connections; {database}; {about['sink']}; {about['machine']}"
    head = ["From publishing to closed books, over the number of recipients", said]
    body = "".join(_panel(panel, sizes) for panel in panels)
    return _document(head, body)


def _column(points: Sequence[Figures], name: str) -> list[float]:
    return [float(point[name]) for point in points]


def _document(head: Sequence[str], body: str) -> str:
    title, said = map(escape, head)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">\n'
        f"<style>{STYLE}</style>\n"
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>\n'
        f'<text class="title" x="16" y="28">{title}</text>\n{body}'
        f'<text x="{(LEFT + RIGHT) / 2}" y="{HEIGHT - 36}" text-anchor="middle">{ACROSS}</text>\n'
        f'<text class="small" x="16" y="{HEIGHT - 10}">{said}</text>\n</svg>\n'
    )


def _panel(panel: Panel, sizes: Sequence[int]) -> str:
    across = _across(sizes)
    drawn = [f'<text x="16" y="{panel.top - 12}">{escape(panel.title)}</text>\n']
    for step in range(TICKS + 1):
        value = panel.highest * step / TICKS
        look, height = "grid" if step else "axis", f"{panel.y(value):.1f}"
        drawn.append(f'<line class="{look}" x1="{LEFT}" x2="{RIGHT}" y1="{height}" y2="{height}"/>\n')
        drawn.append(f'<text x="{LEFT - 8}" y="{panel.y(value) + 5:.1f}" text-anchor="end">{_said(value)}</text>\n')
    for size in sizes:
        place = f'x="{across(size):.1f}" y="{panel.top + PANEL + 20}"'
        drawn.append(f'<text {place} text-anchor="middle">{size:,}</text>\n')
    return "".join([*drawn, *(_line(panel, line, sizes, across) for line in panel.lines)])


def _line(panel: Panel, line: Line, sizes: Sequence[int], across: Callable[[int], float]) -> str:
    places = [(across(size), panel.y(value)) for size, value in zip(sizes, line.values, strict=True)]
    path = " L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dots = "".join(f'<circle class="{line.look}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>\n' for x, y in places)
    end_x, end_y = places[-1]
    said = f"{escape(line.name)}, {_said(line.values[-1])}"
    label = f'<text class="{line.look}" x="{end_x + 12:.1f}" y="{end_y + 5:.1f}">{said}</text>\n'
    return f'<path class="{line.look}" d="M{path}"/>\n{dots}{label}'


def _across(sizes: Sequence[int]) -> Callable[[int], float]:
    """Return where a number of recipients is, on a scale of powers of ten."""
    first, last = math.log10(sizes[0]), math.log10(sizes[-1])
    span = (last - first) or 1
    return lambda size: LEFT + 30 + (RIGHT - LEFT - 60) * (math.log10(size) - first) / span


def _round_up(value: float) -> float:
    """Return the next number of 1, 2, 4 or 8 times a power of ten, so that quarters of it are round too."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(power * step for step in (1, 2, 4, 8, 10) if power * step >= value)


def _said(value: float) -> str:
    """Return a number with as many digits as tell something."""
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.{DIGITS}g}"
