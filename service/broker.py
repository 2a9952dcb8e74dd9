"""The bell: Celery's app, the queues, and ring(), which tells workers that something is due.

The database says what is due; a lost ring is found by the sweep. So ring() never raises and never
waits long, whether the broker is refused, hung or flushed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import structlog
from celery import Celery

from service import settings

log = structlog.get_logger()

DISPATCHES = "dispatches"
CONFIRMATIONS = "confirmations"
SWEEP = "sweep"

EXPAND = "utskick.expand"
DELIVER = "utskick.deliver"
CONFIRM = "utskick.confirm"
SWEEP_ROUND = "utskick.sweep"

ROUTES = {EXPAND: DISPATCHES, DELIVER: DISPATCHES, CONFIRM: CONFIRMATIONS, SWEEP_ROUND: SWEEP}

STALE = 600
"""Seconds after which an unheard ring is dropped: the sweep has rung many times since. Far above any clock skew."""

PATIENCE = 1
"""Seconds to wait for the broker, for a connection and for its word that it has a message."""

REDIS = {
    "broker_transport_options": {
        "socket_connect_timeout": PATIENCE,
        "socket_timeout": PATIENCE,
        "max_retries": 0,
        "master_name": "mymaster",
        "global_keyprefix": "utskick:",
    },
}

RABBITMQ = {
    "broker_transport_options": {"confirm_publish": True, "max_retries": 0},
    "broker_connection_timeout": PATIENCE,
    "broker_channel_error_retry": True,  # a queue that is still being recovered is refused, not away
    "task_default_queue_type": "quorum",
    "task_create_missing_queue_type": "quorum",
}
"""A quorum queue outlives the loss of a node; a confirmed message is one that RabbitMQ really has."""

SWEEPING = {
    "expires": STALE,
    "confirm_timeout": PATIENCE,
    "retry": True,  # beat keeps one connection and never opens another, unless it may try again
    "retry_policy": {"max_retries": 1, "interval_start": 0},
}
"""How beat rings for a sweep."""


def make_app(config: settings.Settings) -> Celery:
    """Return a Celery app that only rings: no results, no retries, no countdowns, nothing but ids in a message."""
    app = Celery("utskick", broker=config.broker or "redis://127.0.0.1:1/0", set_as_current=True)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        **(RABBITMQ if config.broker.startswith("amqp") else REDIS),
        task_publish_retry=False,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_routes={name: {"queue": queue} for name, queue in ROUTES.items()},
        task_create_missing_queues=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        beat_scheduler="celery.beat:Scheduler",
        beat_schedule={"sweep": {"task": SWEEP_ROUND, "schedule": config.sweep_every, "options": SWEEPING}},
        enable_utc=True,
        timezone="UTC",
    )
    return app


@lru_cache
def app() -> Celery:
    """Return this process's app."""
    return make_app(settings.current())


def ring(task: str, *ids: int) -> bool:
    """Ring a bell; return False, within 2 s, where the broker is away (the sweep will ring later)."""
    config = settings.current()
    if not config.broker:
        return False
    try:
        with _producer(config) as producer:
            app().send_task(task, args=ids, producer=producer, expires=STALE, retry=False, confirm_timeout=PATIENCE)
    except Exception as error:  # whatever the transport makes of it: the mail is in the ledger, the sweep rings
        log.warning("broker away; the sweep rings later", task=task, error=type(error).__name__)
        return False
    return True


@contextmanager
def _producer(config: settings.Settings) -> Iterator[Any]:
    """Open a connection to RabbitMQ for one ring; None, which is Celery's own pool of connections, for Redis.

    A pooled connection to RabbitMQ is found dead only when it is used, and is closed by a word that a hung broker
    never answers. This one has a time-out for each answer, and is dropped without a word where one does not come.
    """
    if not config.broker.startswith("amqp"):
        yield None
        return
    patient = {"read_timeout": PATIENCE, "write_timeout": PATIENCE}
    connection = app().connection_for_write(transport_options=patient)
    try:
        yield app().amqp.Producer(connection, auto_declare=False)
        connection.release()
    finally:
        connection.collect()
