"""Handing mail to the relay: answers, sessions, connections, the courier."""

from service.smtp.answers import Accepted, Answer, Envelope, NotBegun, Outcome, Refused, RelayAway, Uncertain
from service.smtp.courier import Courier
from service.smtp.dialogue import dotted
from service.smtp.pace import Pace
from service.smtp.relay import Relay, relay_of

__all__ = [
    "Accepted",
    "Answer",
    "Courier",
    "Envelope",
    "NotBegun",
    "Outcome",
    "Pace",
    "Refused",
    "Relay",
    "RelayAway",
    "Uncertain",
    "dotted",
    "relay_of",
]
