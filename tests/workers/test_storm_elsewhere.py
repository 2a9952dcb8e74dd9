"""Storms on PostgreSQL and RabbitMQ, and on the embedded default."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Backend
from tests.workers.storm import big, named, seeds, small

pytestmark = pytest.mark.storm


@pytest.mark.parametrize("seed", seeds(3), ids=named)
def test_a_storm_on_postgresql_and_rabbitmq(
    tmp_path: Path, postgresql_backend: Backend, tell: Callable[[str], None], seed: int
) -> None:
    big(tmp_path, postgresql_backend, "rabbitmq", seed, tell)


@pytest.mark.parametrize("seed", seeds(4), ids=named)
def test_a_storm_on_sqlite_and_valkey(
    tmp_path: Path, sqlite_backend: Backend, tell: Callable[[str], None], seed: int
) -> None:
    small(tmp_path, sqlite_backend, "valkey", seed, tell)
