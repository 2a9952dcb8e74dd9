"""The API for programs: JSON, bearer keys, problem details."""

from functools import lru_cache
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from service import settings
from service.web.api import dispatches, releases, subscriptions
from service.web.api.document import document
from service.web.api.problem import BASE, KINDS, Problem, invalid, told

_about = APIRouter(prefix=BASE)
routers = [releases.router, dispatches.router, subscriptions.router, _about]


def install(app: FastAPI) -> None:
    """Make the app answer problems."""
    app.add_exception_handler(Problem, told)
    app.add_exception_handler(RequestValidationError, invalid)


@_about.get("/openapi.json", include_in_schema=False)
def openapi() -> JSONResponse:
    """Return the OpenAPI document."""
    return JSONResponse(_document(settings.current().site))


@lru_cache(maxsize=4)
def _document(site: str) -> dict[str, Any]:
    return document([route for router in routers for route in router.routes], site)


@_about.get("/problems", tags=["problems"], operation_id="listProblems", summary="List the kinds of problems")
def problems() -> dict[str, dict[str, Any]]:
    """Say what each kind of problem is and what to do about it."""
    return {name: {"status": kind.status, "title": kind.title, "help": kind.help} for name, kind in KINDS.items()}
