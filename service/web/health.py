"""Signs of life for whoever watches: alive, and ready."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy.exc import SQLAlchemyError

from service import broker, database, settings

NOW = {"Cache-Control": "no-store"}

router = APIRouter()


@router.get("/healthz")
def alive() -> JSONResponse:
    """Say that this process answers."""
    return JSONResponse({"status": "alive"}, headers=NOW)


@router.get("/readyz")
def ready() -> JSONResponse:
    """Say whether visitors can be served: not without the database; without the broker mail leaves later."""
    try:
        with database.reading() as session:
            database.ping(session)
    except SQLAlchemyError:
        return JSONResponse({"status": "unavailable", "database": "away"}, 503, NOW)
    if _broker_answers():
        return JSONResponse({"status": "ready", "database": "ok", "broker": "ok"}, headers=NOW)
    return JSONResponse({"status": "degraded", "database": "ok", "broker": "away"}, headers=NOW)


def _broker_answers() -> bool:
    if not settings.current().broker:
        return False
    connection = broker.app().connection_for_write()
    try:
        # One attempt: connect() of kombu would wait two seconds and try again.
        connection.transport.close_connection(connection.transport.establish_connection())
    except (*connection.connection_errors, *connection.channel_errors, BrokerError, OSError):
        return False
    return True
