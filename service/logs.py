"""The log of every process: a line of fields for an event, a short trace for a failure, no address, no token."""

import re
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog
from sqlalchemy.exc import StatementError

ADDRESS = re.compile(r"[^\s<>()\[\],;:\"']+@[^\s<>()\[\],;:\"']+")

DEPTH = 8
"""Frames in a trace."""


def configure() -> None:
    """Write lines of fields; never the local variables of a trace, which hold addresses and tokens."""
    structlog.configure(
        processors=[
            _trace_of_failure,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
    )


def trace(error: BaseException) -> str:
    """Return an error's trace without what was typed: the words of an error may quote it."""
    if isinstance(error, StatementError):
        error.hide_parameters = True
    return ADDRESS.sub("<address>", "".join(traceback.format_exception(error, limit=-DEPTH)))


def _trace_of_failure(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    failure = event.pop("exc_info", None)
    if isinstance(failure, BaseException):
        event["trace"] = trace(failure)
    return event
