"""What can become of a mail that is handed to the relay. A failure is a value."""

from dataclasses import dataclass
from typing import NamedTuple


class Envelope(NamedTuple):
    """One mail for one recipient: addresses as MAIL and RCPT take them, and the bytes as DATA takes them (`dotted`).

    `number`: whatever its sender knows it by.
    """

    number: int
    sender: str
    recipient: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """The relay said 250 to the final dot."""

    code: int
    words: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The relay said no to this recipient or this message: for good, or for now."""

    permanent: bool
    code: int
    words: str


@dataclass(frozen=True, slots=True)
class Uncertain:
    """The connection died between the final dot and the reply: the relay may have the mail."""

    words: str


@dataclass(frozen=True, slots=True)
class RelayAway:
    """The relay cannot be used just now; no recipient is to blame. `on_wire`: a recipient had been named."""

    words: str
    on_wire: bool = False


@dataclass(frozen=True, slots=True)
class NotBegun:
    """The fence was down before the final dot: nothing was sent."""


Outcome = Accepted | Refused | Uncertain
Answer = Outcome | RelayAway | NotBegun
