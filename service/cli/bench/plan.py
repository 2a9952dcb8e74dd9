"""What is asked of a bench."""

from dataclasses import dataclass
from enum import StrEnum


class Database(StrEnum):
    """Where the ledger is."""

    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"


class Case(StrEnum):
    """What can be measured."""

    PATH = "path"
    DELAY = "delay"
    GROWTH = "growth"
    CONFIRMATIONS = "confirmations"


SMALLEST = 1_000
"""Followers of the first point of growth; each further one has ten times as many."""


@dataclass(frozen=True)
class Plan:
    """How much is measured; `baseline`: mails of a sender without books, `most`: followers of growth's last point."""

    recipients: int
    runs: int
    baseline: int
    most: int
    connections: int
    delay_ms: float
    delay_connections: int
    databases: tuple[Database, ...]
    cases: tuple[Case, ...]
    built_in: bool

    @property
    def delayed(self) -> int:
        """Recipients where the sink waits before it answers: a fifth, for that takes its time."""
        return max(1, self.recipients // 5)

    @property
    def sizes(self) -> list[int]:
        """How many followers growth is measured with."""
        steps = (SMALLEST * 10**step for step in range(len(str(self.most))))
        return [*(size for size in steps if size < self.most), self.most]
