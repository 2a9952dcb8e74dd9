"""Error pages: what happened, what was kept, what to do; never a traceback."""

import re

import structlog
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import Response
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException as StarletteHTTPException

from service import database, newsrooms
from service.web.api import problem
from service.web.methods import allowed
from service.web.pages import SECRET, page, speak

log = structlog.get_logger()

REASONS = {404: "not_found", 405: "method", 413: "large", 500: "broken", 503: "away"}
SLUG = re.compile(r"[a-z0-9-]{1,120}")
AWHILE = {"Retry-After": "60"}
TOKEN_PATHS = ("/confirm/", "/unsubscribe/", "/desk/password/")


class Refusal(HTTPException):
    """An answer other than the page asked for, with its reason as templates/pages/error.html knows it."""

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, headers=headers)
        self.reason = reason


def install(app: FastAPI) -> None:
    """Make the app answer errors with our pages."""
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(SQLAlchemyError, _database_failed)


def show(request: Request, status: int, reason: str = "", headers: dict[str, str] | None = None) -> Response:
    """Return the page of an error, or its problem details to a program."""
    if problem.is_api(request):
        return problem.of_status(status, headers or {})
    secret = SECRET if request.url.path.startswith(TOKEN_PATHS) else {}
    reason = reason or REASONS.get(status, "broken" if status >= 500 else "not_found")
    sent = {"Cache-Control": "no-store", **secret, **(headers or {})}
    wait = int(sent.get("Retry-After", "0"))
    saving = request.method == "POST"
    more = {"reason": reason, "wait": -(-wait // 60), "saving": saving}
    if not at_the_desk(request):
        return page(request, "error.html", status, sent, **more)
    visit = getattr(request.state, "visit", None)  # somebody logged in keeps their way on
    more |= {"who": visit, "desk": visit if hasattr(visit, "newsroom") else None, "csrf": getattr(visit, "csrf", "")}
    more["typed"] = getattr(request.state, "typed", [])  # a form of ours: whatever refused it, its text is not lost
    return page(request, "desk/error.html", status, sent, **more)


def at_the_desk(request: Request) -> bool:
    """Tell whether a request is about the staff's part of the site."""
    return request.url.path == "/desk" or request.url.path.startswith("/desk/")


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)  # noqa: S101 - it is registered for nothing else
    _find_voice(request)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = allowed(request.scope)
    return show(request, error.status_code, getattr(error, "reason", ""), headers)


def _find_voice(request: Request) -> None:
    parts = request.url.path.split("/")
    slug = parts[2] if at_the_desk(request) and len(parts) > 2 else parts[1]
    if getattr(request.state, "language", "") or not SLUG.fullmatch(slug) or slug in newsrooms.RESERVED:
        return
    try:
        with database.reading() as session:
            if found := newsrooms.get(session, slug):
                speak(request, found, found.language)
    except SQLAlchemyError:
        return  # then it speaks the browser's language


def _database_failed(request: Request, error: Exception) -> Response:
    if not (database.is_away(error) or isinstance(error, PoolTimeout)):
        raise error
    log.error("database_away", error=type(error).__name__, why=str(getattr(error, "orig", "")))
    return show(request, 503, headers=AWHILE)
