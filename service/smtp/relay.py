"""Where the relay is, and how to greet it."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


@dataclass(frozen=True)
class Relay:
    """Where the relay is and how to greet it; `timeout`: the longest wait for it, in seconds."""

    host: str
    port: int
    security: str
    user: str
    password: str
    timeout: float
    helo: str


def relay_of(url: str, *, timeout: float, helo: str) -> Relay:
    """Return the relay of an SMTP_URL: smtp://, smtp+starttls:// or smtps://, with `user:password@` where it asks."""
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    port = parts.port or PORTS[parts.scheme]
    return Relay(parts.hostname or "", port, parts.scheme, user, password, timeout, helo)
