"""A newsroom's accent as CSS custom properties, light and dark, with a contrast that can be read."""

import hashlib

from service.colours import readable

LIGHT = ("#ffffff", "#f5f3ee")
"""Paper and panel by day, as in static/site.css."""

DARK = ("#14181c", "#1e242a")
"""Paper and panel by night."""

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
