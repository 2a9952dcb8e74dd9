"""What a process and all that it has started have used: CPU time and memory, as the kernel counts them."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
_TIMES = slice(11, 15)
"""Of the fields of /proc/PID/stat behind the name, see proc(5): utime, stime, and those of children that have ended."""


@dataclass(frozen=True)
class _Row:
    pid: int
    parent: int
    seconds: float


def cpu(pid: int) -> float:
    """Return the seconds of CPU that a process and its descendants have used, those that have ended included."""
    return sum(row.seconds for row in _family(pid))


def peak(pid: int) -> int:
    """Return the most bytes of memory (VmHWM) that one of the process and its living descendants has had at once."""
    return max((_high_water(row.pid) for row in _family(pid)), default=0)


def _family(pid: int) -> list[_Row]:
    rows = {row.pid: row for row in map(_row, Path("/proc").glob("[0-9]*")) if row is not None}
    found, asked = [], [pid]
    while asked:
        parent = asked.pop()
        if parent in rows:
            found.append(rows[parent])
        asked += [row.pid for row in rows.values() if row.parent == parent]
    return found


def _row(entry: Path) -> _Row | None:
    try:
        fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile
        return None
    return _Row(int(entry.name), int(fields[1]), sum(map(int, fields[_TIMES])) / TICKS)


def _high_water(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
