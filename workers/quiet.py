"""A database that is away is an everyday failure: one line in the log, and the sweep tries again."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy.exc import DBAPIError

from service import database

log = structlog.get_logger()


@contextmanager
def quietly(task: str) -> Iterator[None]:
    """Run a task's work; where the database is away, say so in one line instead of raising."""
    try:
        yield
    except DBAPIError as error:
        if not database.is_away(error):
            raise
        log.warning("database away; the sweep tries again", task=task)
