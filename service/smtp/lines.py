"""What has been said to the relay, and which reply answers what."""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from service.smtp.answers import Answer, Envelope


class Step(Enum):
    """What a reply answers."""

    GREETING = auto()
    EHLO = auto()
    HELO = auto()
    STARTTLS = auto()
    AUTH = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    DOT = auto()
    RSET = auto()
    QUIT = auto()


TOGETHER = (Step.MAIL, Step.RCPT, Step.RSET, Step.DOT)
"""What others may follow before its reply has come (RFC 2920 §3.1)."""

PATIENCE = {Step.DATA: 120, Step.DOT: 600}
"""Seconds for a reply (RFC 5321 §4.5.3.2)."""

OTHERWISE = 300
"""Seconds for any other."""


@dataclass(slots=True, eq=False)
class Flight:
    """A mail on its way; `begun` once its content is sent, `answer` once that is known and replies are still due."""

    envelope: Envelope
    begun: bool = False
    answer: Answer | None = None


class Lines:
    """Commands in their order: those that wait for a reply, and those that wait to be sent."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.pipelined = False
        self.expected: deque[tuple[Step, Flight | None]] = deque([(Step.GREETING, None)])
        self.unsent: deque[tuple[Step, bytes, Flight | None]] = deque()

    @property
    def patience(self) -> float:
        """Seconds that the relay may take for what it is asked now; 0 while it is asked nothing."""
        return PATIENCE.get(self.expected[0][0], OTHERWISE) if self.expected else 0

    def say(self, step: Step, line: bytes, flight: Flight | None = None) -> None:
        """Have a command (or a content with its dot) sent as soon as its turn comes; `push` sends."""
        self.unsent.append((step, line, flight))

    def push(self) -> None:
        """Send what may be sent before the next reply."""
        unsent, expected = self.unsent, self.expected
        while unsent and (not expected or (self.pipelined and expected[-1][0] in TOGETHER)):
            step, line, flight = unsent.popleft()
            self.out += line
            self.out += b"\r\n"
            expected.append((step, flight))

    def answered(self) -> tuple[Step, Flight | None]:
        """Return what a reply that has just come answers; raise LookupError where nothing was asked."""
        if not self.expected:
            raise LookupError("nothing was asked")
        return self.expected.popleft()

    def forget(self, flight: Flight) -> bool:
        """Take back what was not sent for a mail; tell whether no reply is due for it."""
        self.unsent = deque(one for one in self.unsent if one[2] is not flight)
        return all(other is not flight for _, other in self.expected)

    def welcomed(self, flight: Flight) -> bool:
        """Tell whether the relay has answered the MAIL of a mail, so that what happens next is about its recipient."""
        waiting = [*self.expected, *((step, other) for step, _, other in self.unsent)]
        return (Step.MAIL, flight) not in waiting
