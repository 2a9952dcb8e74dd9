"""What `up` and `demo` say: their own words, and each process's lines behind its name."""

import sys
from contextlib import suppress

from rich.console import Console
from rich.text import Text

COLOURS = ("cyan", "green", "magenta", "blue", "yellow", "bright_cyan", "bright_green")
OWN = "utskick"


class Voice:
    """One output for everybody, coloured on a terminal and plain elsewhere."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self.colours: dict[str, str] = {}

    def line(self, name: str, text: str) -> None:
        """Say one line of a process, behind its name."""
        colour = self.colours.setdefault(name, COLOURS[len(self.colours) % len(COLOURS)])
        self._print(Text.assemble((f"{name:<13} ", colour), Text.from_ansi(text)))

    def note(self, text: str) -> None:
        """Say something of our own, in the midst of the processes' lines."""
        self._print(Text.assemble((f"{OWN:<13} ", "bold"), text))

    def plain(self, text: str) -> None:
        """Say a paragraph of our own."""
        self._print(Text(text))

    def _print(self, text: Text) -> None:
        # Whoever read our output may be gone (`| head`, a closed terminal); we go on, or stop, all the same.
        with suppress(OSError, ValueError, SystemExit):
            self.console.print(text)


def careful_output() -> None:
    """Make what a terminal cannot show a question mark rather than an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
