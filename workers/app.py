"""The Celery app that workers and beat load; a wrong setting ends the start with one clear line."""

import gc
import logging
import os
import sys
from typing import Any

import structlog
from celery import Celery
from celery.signals import beat_init, setup_logging, worker_init, worker_ready, worker_shutting_down
from kombu.exceptions import OperationalError
from sqlalchemy.exc import DBAPIError

from service import broker, database, logs, sending, settings, subscriptions


def _load() -> Celery:
    try:
        config = settings.current()
        if not config.broker:
            raise settings.SettingsError("UTSKICK_BROKER_URL is needed (only `utskick up` and `demo` start one)")
        _ = config.relay, config.secret_keys, config.address_hash_key
    except settings.SettingsError as error:
        sys.exit(f"utskick: {error}")
    app = broker.app()
    app.conf.imports = ("workers.expand", "workers.deliver", "workers.sweep")
    app.conf.worker_consumer = "workers.consumer:Consumer"
    return app


os.umask(0o077)
app = _load()


class _Plainly(logging.Filter):
    """Tells of a broker that is away in one line: Celery's trace of it, each few seconds, hides everything else."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, keep it."""
        error = record.exc_info[1] if record.exc_info else None
        while error is not None and not isinstance(error, OperationalError | OSError):
            error = error.__cause__ or error.__context__
        if error is not None:
            record.msg, record.args, record.exc_info = "broker away; it is tried again: %s", (error,), None
        return True


@setup_logging.connect  # type: ignore[untyped-decorator]
def _log_plainly(loglevel: int = logging.WARNING, **_: Any) -> None:
    """Log lines, not Celery's banner: an operator reads them beside the other processes'."""
    logging.basicConfig(level=loglevel, format="%(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(_Plainly())
    logs.configure()


@worker_init.connect  # type: ignore[untyped-decorator]
@beat_init.connect  # type: ignore[untyped-decorator]
def _check_schema(**_: Any) -> None:
    try:
        database.check_schema()
        with database.reading() as session:
            subscriptions.check_key(session)
    except (database.PendingMigrations, settings.SettingsError) as error:
        sys.exit(f"utskick: {error}")
    except DBAPIError as error:
        if not database.is_away(error):
            raise
        structlog.get_logger().warning("database away; the work waits for it")


@worker_ready.connect  # type: ignore[untyped-decorator]
def _keep_what_is_here(**_: Any) -> None:
    """Spare the collector what stays for good: it would look through all of it in the middle of every claim."""
    gc.collect()
    gc.freeze()


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _stop_softly(**_: Any) -> None:
    sending.stopping.set()
