"""The bell: Celery's app, the queues, and ring(), which tells workers that something is due.

The database says what is due; a lost ring is found by the sweep. So ring() never raises and never
waits long, whether the broker is refused, hung or flushed.
"""

from functools import lru_cache

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


def make_app(config: settings.Settings) -> Celery:
    """Return a Celery app that only rings: no results, no retries, no countdowns, nothing but ids in a message."""
    app = Celery("utskick", broker=config.broker or "redis://127.0.0.1:1/0", set_as_current=True)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_connect_timeout": 1,
            "socket_timeout": 1,
            "max_retries": 0,
            "master_name": "mymaster",
            "global_keyprefix": "utskick:",
        },
        task_publish_retry=False,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_routes={name: {"queue": queue} for name, queue in ROUTES.items()},
        task_create_missing_queues=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        beat_scheduler="celery.beat:Scheduler",
        beat_schedule={"sweep": {"task": SWEEP_ROUND, "schedule": config.sweep_every, "options": {"expires": STALE}}},
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
    if not settings.current().broker:
        return False
    try:
        app().send_task(task, args=ids, expires=STALE, retry=False)
    except Exception as error:  # whatever the transport makes of it: the mail is in the ledger, the sweep rings
        log.warning("broker away; the sweep rings later", task=task, error=type(error).__name__)
        return False
    return True
