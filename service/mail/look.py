"""Colours of a mail: the newsroom's accent, darkened or lightened until it can be read."""

from typing import NamedTuple

from service.colours import READABLE, is_colour, readable

PAPER, NIGHT = "#ffffff", "#17191c"
DEFAULT = "#1d5c87"
EASY = 7.0
"""The contrast by night, when thin bright letters tire the eye."""


class Accent(NamedTuple):
    """One accent in its two lights."""

    day: str
    night: str


def accent(colour: str) -> Accent:
    """Return a newsroom's accent, readable as text by day and by night; ours where it has none."""
    wanted = colour.lower() if is_colour(colour) else DEFAULT
    return Accent(readable(wanted, (PAPER,), -1, READABLE), readable(wanted, (NIGHT,), 1, EASY))
