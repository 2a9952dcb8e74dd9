"""A thread for database work, so that no connection to the relay waits for a commit."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Self

from sqlalchemy.orm import Session

Work = Callable[[Session], object]


class Beside:
    """A thread for one piece of work at a time. Use it in a `with` block, whose end waits for what is under way.

    `tried` does a piece of work in the thread, and tells whether the database was there; then `ready` is called.
    """

    def __init__(self, tried: Callable[[Work], bool], ready: Callable[[], None]) -> None:
        self._tried, self._ready = tried, ready
        self._thread = ThreadPoolExecutor(1, "database")
        self._work: Future[bool] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    @property
    def busy(self) -> bool:
        """Tell whether work is under way."""
        return self._work is not None and not self._work.done()

    def begin(self, work: Work) -> None:
        """Have work done; what was begun before must be over and its `result` heard."""
        assert self._work is None  # noqa: S101 - one piece at a time
        self._work = self._thread.submit(copy_context().run, self._tried, work)
        self._work.add_done_callback(lambda _: self._ready())

    def result(self) -> bool:
        """Wait for what was begun, and tell whether it was done; False where the database is away."""
        assert self._work is not None  # noqa: S101 - something was begun
        work, self._work = self._work, None
        return work.result()
