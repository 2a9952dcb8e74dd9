"""A newsroom's accent as CSS custom properties, light and dark, with a contrast that can be read."""

import colorsys
import hashlib

LIGHT = ("#ffffff", "#f5f3ee")
"""Paper and panel by day, as in static/site.css."""

DARK = ("#14181c", "#1e242a")
"""Paper and panel by night."""

ENOUGH = 4.5
"""The least contrast of text (WCAG 2.1, 1.4.3)."""

DEFAULT = "#1a5a8a"


def stylesheet(accent: str) -> str:
    """Return the style sheet of a newsroom with this accent (#rrggbb, or empty for ours)."""
    day, night = readable(accent or DEFAULT, LIGHT, -1), readable(accent or DEFAULT, DARK, 1)
    return (
        f":root {{ --accent: {day}; --on-accent: {LIGHT[0]}; }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ --accent: {night}; --on-accent: {DARK[0]}; }} }}\n"
    )


def address(slug: str, accent: str) -> str:
    """Return the path of a newsroom's style sheet; it changes with its content."""
    return f"/{slug}/look.css?v={version(accent)}"


def version(accent: str) -> str:
    """Return a short hash of a newsroom's style sheet."""
    return hashlib.sha256(stylesheet(accent).encode()).hexdigest()[:10]


def readable(colour: str, surfaces: tuple[str, ...], step: int) -> str:
    """Return the colour, darkened (-1) or lightened (1) as little as it takes to be read on the surfaces."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*_channels(colour))
    while min(contrast(colour, surface) for surface in surfaces) < ENOUGH:
        lightness = min(1.0, max(0.0, lightness + step / 100))
        colour = _hexadecimal(colorsys.hls_to_rgb(hue, lightness, saturation))
    return colour


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours (WCAG 2.1)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _channels(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue


def _hexadecimal(channels: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(channel * 255):02x}" for channel in channels)


def _luminance(colour: str) -> float:
    weights = (0.2126, 0.7152, 0.0722)
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(colour))
    return sum(weight * value for weight, value in zip(weights, linear, strict=True))
