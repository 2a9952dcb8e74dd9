"""Colours of a mail: the newsroom's accent, darkened or lightened until it can be read."""

import re
from typing import NamedTuple

PAPER, NIGHT = "#ffffff", "#17191c"
DEFAULT = "#1d5c87"
READABLE = 4.5
"""The least contrast of text (WCAG 1.4.3)."""
EASY = 7.0
"""By night, when thin bright letters tire the eye."""

_HEX = re.compile(r"#[0-9a-fA-F]{6}")


class Accent(NamedTuple):
    """One accent in its two lights."""

    day: str
    night: str


def accent(colour: str) -> Accent:
    """Return a newsroom's accent, readable as text by day and by night; ours where it has none."""
    wanted = colour.lower() if _HEX.fullmatch(colour) else DEFAULT
    day = _mixed_until(READABLE, wanted, PAPER, "#000000")
    return Accent(day, _mixed_until(EASY, wanted, NIGHT, "#ffffff"))


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _mixed_until(wanted: float, colour: str, ground: str, towards: str) -> str:
    mixes = (_mixed(colour, towards, step / 50) for step in range(51))
    return next(mix for mix in mixes if contrast(mix, ground) >= wanted)


def _mixed(colour: str, other: str, share: float) -> str:
    pairs = zip(_channels(colour), _channels(other), strict=True)
    return "#" + "".join(f"{round(one + (two - one) * share):02x}" for one, two in pairs)


def _luminance(colour: str) -> float:
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in _channels(colour))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
