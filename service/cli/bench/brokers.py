"""The broker of a run: redis-server where it is installed (or the embedded Valkey), on a socket of the bench's own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.cli import valkey
from service.cli.bench.process import Process, clean_environment

EMBEDDED = "the embedded Valkey"
INSTALLED = "redis-server"


def label(*, embedded: bool) -> str:
    """Return the name of the broker that `running` starts."""
    return EMBEDDED if embedded or shutil.which(INSTALLED) is None else INSTALLED


@contextmanager
def running(folder: Path, *, embedded: bool) -> Iterator[str]:
    """Run a broker and give its URL."""
    path = valkey.choose_socket(folder)
    command = valkey.command(folder, path)
    if label(embedded=embedded) == INSTALLED:
        command[0] = INSTALLED
    process = Process("broker", command, folder, clean_environment())
    try:
        process.until(lambda: valkey.answers(path))
        yield valkey.url(path)
    finally:
        process.end()
        valkey.withdraw(folder, path)
