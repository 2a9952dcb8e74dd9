"""Logging in and out, and what becomes of a form whose log-in is over."""

import json
import re
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from service import audit, database, limits, staff, tokens
from service.models import Staff
from service.web.desk import door
from service.web.desk.door import Anyone, LoggedOut, Sent, Unproven
from service.web.desk.forms import Form
from service.web.desk.frame import go, show
from service.web.errors import Refusal

log = structlog.get_logger()

HOME = "/desk"
OURS = re.compile(r"/desk(?:/[A-Za-z0-9._~/-]*)?(?:\?[A-Za-z0-9._~/=&%-]*)?")
"""Where a log-in may lead: a page of the desk."""

router = APIRouter()


def install(app: FastAPI) -> None:
    """Make the app answer those who are logged out, or whose form is of an earlier log-in."""
    app.add_exception_handler(LoggedOut, _logged_out)
    app.add_exception_handler(Unproven, _unproven)


@router.get("/desk/login")
def ask(request: Request) -> Response:
    """Show the log-in form."""
    return _form(request, 200, onward=_ours(request.query_params.get("next", "")))


@router.post("/desk/login")
def log_in(request: Request, form: Sent) -> Response:
    """Log somebody in; the same answer and the same work whatever is wrong. What a form kept goes along."""
    address, onward, kept = form.get("address").strip(), _ours(form.get("next")), form.get("kept")
    typed: dict[str, Any] = {"onward": onward, "address": address, "kept": kept}
    try:
        door.check_form(request, form)
    except Refusal:
        if not kept or not door.surely_ours(request):
            raise
        return _form(request, 403, **typed, old=True)  # it stood open until its cookie was over
    if wait := limits.login(request.client.host if request.client else "", address):
        return _form(request, 429, {"Retry-After": str(wait)}, **typed, wait=-(-wait // 60))
    with database.reading() as session:
        known = staff.by_address(session, address)
    if not staff.matches(known.password_hash if known else None, form.get("password")) or known is None:
        return _wrong(request, typed)
    return open_door(request, known, _carry_on(kept), onward) or _wrong(request, typed)


def _wrong(request: Request, typed: dict[str, Any]) -> Response:
    log.warning("log-in refused")
    return _form(request, 401, **typed, wrong=True)


def open_door(request: Request, known: Staff, carried: dict[str, Any] | None, onward: str = HOME) -> Response | None:
    """Log somebody in whose password was right, and lead them where they were going; an older log-in here ends.

    None where the password has become another since it was looked at.
    """
    with database.transaction() as session:
        now = database.now(session)
        token = staff.log_in(session, known, request.headers.get("user-agent", ""), now)
        if token is None:
            return None
        staff.drop(session, door.present(request))
        audit.note(session, audit.person(known), "login", now)
    proof = tokens.csrf(token)
    answer = show(request, "resume.html", None, csrf=proof, **carried) if carried else go(onward)
    door.let_in(answer, token)
    return answer


@router.post("/desk/logout")
def log_out(who: Anyone) -> Response:
    """Log out: what the cookie holds opens nothing any more."""
    with database.transaction() as session:
        staff.log_out(session, who.staff.id, who.login_id)
        audit.note(session, who.actor, "logout", database.now(session))
    answer = go("/desk/login", "logged-out")
    door.show_out(answer)
    return answer


def _logged_out(request: Request, error: Exception) -> Response:
    """Ask to log in, and keep what a form held: with text in the page, else only where it stood."""
    assert isinstance(error, LoggedOut)  # noqa: S101 - it is registered for nothing else
    if request.method != "POST":
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        onward = _ours(path)
        asking = f"/desk/login?next={quote(onward, safe='/?=')}" if onward != HOME else "/desk/login"
        return RedirectResponse(asking, 303)
    kept = ""
    if error.form.get("keep"):
        kept = json.dumps({"path": request.url.path, "pairs": error.form.kept}, ensure_ascii=False)
    return _form(request, 401, onward=_ours(error.form.get("back")), kept=kept, over=True)


def _unproven(request: Request, error: Exception) -> Response:
    assert isinstance(error, Unproven)  # noqa: S101 - it is registered for nothing else
    return show(request, "resume.html", error.visit, 403, path=request.url.path, pairs=error.form.kept)


def _carry_on(kept: str) -> dict[str, Any] | None:
    """Return where a kept form was going and its fields, or None for none that we would have made."""
    try:
        found = json.loads(kept) if kept else {}
        path, pairs = str(found["path"]), [(str(name), str(value)) for name, value in found["pairs"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    form = Form(tuple(pairs))
    return {"path": path, "pairs": form.kept} if _ours(path) == path != HOME else None


def _ours(path: str) -> str:
    return path if OURS.fullmatch(path) and "//" not in path and ".." not in path else HOME


def _form(request: Request, status: int, headers: dict[str, str] | None = None, **more: Any) -> Response:
    name, proof = door.form_proof(request)
    usual = {"address": "", "kept": "", "wrong": False, "over": False, "old": False, "wait": 0}
    answer = show(request, "login.html", None, status, headers, **{**usual, **more, "csrf": proof})
    door.give_form_cookie(answer, name)
    return answer
