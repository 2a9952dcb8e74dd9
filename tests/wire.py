"""TCP connections of other processes, as the kernel lists them in /proc."""

from contextlib import suppress
from pathlib import Path

ESTABLISHED = "01"


def connections(pid: int, port: int) -> int:
    """Return how many established connections a process has of which either end is this port of this machine."""
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    theirs = _sockets(pid)
    ends = [(line[1], line[2]) for line in lines if line[3] == ESTABLISHED and line[9] in theirs]
    return sum(port in (_port(local), _port(remote)) for local, remote in ends)


def _port(end: str) -> int:
    return int(end.split(":")[1], 16)


def _sockets(pid: int) -> set[str]:
    """Return the inodes of a process's sockets."""
    targets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            targets.add(str(descriptor.readlink()))
    return {name.removeprefix("socket:[").removesuffix("]") for name in targets if name.startswith("socket:[")}
