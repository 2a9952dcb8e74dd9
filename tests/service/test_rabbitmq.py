"""Ringing at RabbitMQ: bells lie in quorum queues, and a node that is gone or hung holds nobody up."""

from collections.abc import Iterator
from time import monotonic

import pytest

from service import broker
from tests.conftest import forget, opened
from tests.rabbitmq import RabbitMQ
from tests.service.press import configure


@pytest.fixture
def rabbitmq(monkeypatch: pytest.MonkeyPatch) -> Iterator[RabbitMQ]:
    """A node of the test's own, which this process's settings name too."""
    node = opened("rabbitmq")
    assert isinstance(node, RabbitMQ)
    configure(monkeypatch, **node.settings)
    forget()
    yield node
    node.close()


def rings() -> bool:
    """Ring, and see that it does not take longer than it may."""
    began = monotonic()
    rung = broker.ring(broker.CONFIRM)
    assert monotonic() - began < 2
    return rung


def test_a_bell_waits_in_a_quorum_queue_and_outlives_a_kill(rabbitmq: RabbitMQ) -> None:
    assert rings()
    assert rabbitmq.kinds() == {broker.CONFIRMATIONS: 1, broker.DISPATCHES: 0, broker.SWEEP: 0}
    rabbitmq.kill()
    assert not rings()
    rabbitmq.start()
    assert rings(), "no connection of before is in the way"
    assert rabbitmq.kinds()[broker.CONFIRMATIONS] == 2
    rabbitmq.flush()
    assert rabbitmq.kinds()[broker.CONFIRMATIONS] == 0


def test_a_hung_node_is_not_waited_for(rabbitmq: RabbitMQ) -> None:
    assert rings()
    rabbitmq.pause()
    assert [rings(), rings()] == [False, False]
    rabbitmq.resume()
    assert rings()
