"""A claim's lease, renewed in the background for as long as mail may be on the wire."""

from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import Self

from sqlalchemy.exc import DBAPIError

from service import database, ledger, settings

MARGIN = 0.1
"""The share of a lease before its end at which nothing new is begun."""


class Lease:
    """Prolongs a claim every third of its lease while in a `with` block. `alive()` is the fence before each mail."""

    def __init__(self, claim_id: int, read_at: float) -> None:
        """Begin with the monotonic time read before the claim was made."""
        self.claim_id = claim_id
        self.length = settings.current().lease
        self.until = read_at + self.length * (1 - MARGIN)
        self.over = Event()
        self.thread = Thread(target=self._keep, name=f"lease-{claim_id}", daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self.thread.join()

    def alive(self) -> bool:
        """Tell whether the claim is surely still ours."""
        return monotonic() < self.until

    def _keep(self) -> None:
        while not self.over.wait(self.length / 3):
            read_at = monotonic()
            try:
                with database.transaction() as session:
                    kept = ledger.renew(session, self.claim_id, database.now(session))
            except DBAPIError:
                continue  # the fence goes down by itself
            if not kept:
                self.until = 0.0
                return
            self.until = read_at + self.length * (1 - MARGIN)
