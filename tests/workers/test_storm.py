"""Storms on PostgreSQL and Redis: everything is killed again and again, and everybody gets the mail once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Backend
from tests.workers.storm import big, named, seeds

pytestmark = pytest.mark.storm


@pytest.mark.parametrize("seed", seeds(1, 2), ids=named)
def test_a_storm_on_postgresql_and_redis(
    tmp_path: Path, postgresql_backend: Backend, tell: Callable[[str], None], seed: int
) -> None:
    big(tmp_path, postgresql_backend, "redis-server", seed, tell)
