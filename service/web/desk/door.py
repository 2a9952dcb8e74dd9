"""The desk's door: who is logged in, what they may do here, and that the form came from our own page."""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from starlette.responses import Response

from service import database, newsrooms, settings, staff, tokens
from service.audit import Actor, person
from service.models import Login, Newsroom, Staff
from service.states import Role
from service.web.desk.forms import Form, read_form
from service.web.errors import Refusal
from service.web.pages import speak

LOGIN_COOKIE = "utskick_desk"
FORM_COOKIE = "utskick_form"
"""Names a browser that is not logged in, so that its log-in form can be told from a foreign one."""


class LoggedOut(HTTPException):
    """Nobody is logged in, or not any more; what a form sent goes along in `form`."""

    def __init__(self, form: Form) -> None:
        super().__init__(401)
        self.form = form


class Unproven(HTTPException):
    """A form of ours, sent by somebody logged in, whose proof is of an earlier log-in."""

    def __init__(self, form: Form, visit: "Visit") -> None:
        super().__init__(403)
        self.form, self.visit = form, visit


@dataclass(frozen=True)
class Visit:
    """Somebody logged in; `csrf` is what their forms carry."""

    staff: Staff
    login_id: int
    csrf: str

    @property
    def actor(self) -> Actor:
        """Who acts, for the audit."""
        return person(self.staff)


@dataclass(frozen=True)
class Desk(Visit):
    """Somebody at a newsroom's desk, in their role."""

    newsroom: Newsroom
    role: Role
    several: bool
    """They have other newsrooms too."""

    def may(self, role: str) -> bool:
        """Tell whether their role includes another."""
        return self.role.may(Role(role))


def visit(request: Request, form: Annotated[Form, Depends(read_form)]) -> Visit:
    """Return who is logged in; raise LoggedOut. A POST must come from our own page."""
    token = present(request)
    with database.reading() as session:
        login = staff.logged_in(session, token, database.now(session)) if token else None
    if request.method == "POST":
        _same_origin(request)
    if login is None:
        raise LoggedOut(form)
    found = _visit(login, token)
    if request.method == "POST" and not _proven(form, found.csrf):
        if form.get("keep") and surely_ours(request):
            raise Unproven(form, found)
        raise Refusal(403, "unproven")
    request.state.visit = found
    request.state.typed = form.kept if form.get("keep") else []
    return found


def at(needed: Role) -> Callable[..., Desk]:
    """Return a dependency: somebody with this role in the newsroom that the path names.

    A newsroom that is not theirs is as good as none (404); a role too low is told so (403).
    """

    def desk(request: Request, newsroom: str, who: Annotated[Visit, Depends(visit)]) -> Desk:
        with database.reading() as session:
            room = newsrooms.get(session, newsroom)
            roles = {one.newsroom_id: one.role for one in staff.memberships(session, who.staff.id)}
        role = roles.get(room.id) if room else None
        if room is None or role is None:
            raise Refusal(404, "no_role" if request.state.typed else "not_found")
        speak(request, room, room.language)
        if not role.may(needed):
            raise Refusal(403, "role")
        found = Desk(who.staff, who.login_id, who.csrf, room, role, len(roles) > 1)
        request.state.visit = found
        return found

    return desk


Editor = Annotated[Desk, Depends(at(Role.EDITOR))]
Publisher = Annotated[Desk, Depends(at(Role.PUBLISHER))]
Admin = Annotated[Desk, Depends(at(Role.ADMIN))]
Anyone = Annotated[Visit, Depends(visit)]
Sent = Annotated[Form, Depends(read_form)]


def _visit(login: Login, token: str) -> Visit:
    return Visit(login.staff, login.id, tokens.csrf(token))


def present(request: Request) -> str:
    """Return the token of the log-in that a browser has, over or not; empty for none."""
    return request.cookies.get(_name(LOGIN_COOKIE), "")


def let_in(response: Response, token: str) -> None:
    """Give the browser its log-in."""
    _set(response, LOGIN_COOKIE, token, int(staff.LOGIN.total_seconds()))


def show_out(response: Response) -> None:
    """Take the browser's log-in away."""
    _set(response, LOGIN_COOKIE, "", 0)


def form_proof(request: Request) -> tuple[str, str]:
    """Return a browser's form cookie (a new one where it has none) and what its log-in form must carry."""
    name = request.cookies.get(_name(FORM_COOKIE), "") or secrets.token_urlsafe(16)
    return name, tokens.csrf(name, "form")


def give_form_cookie(response: Response, value: str) -> None:
    """Name the browser that got a log-in form."""
    _set(response, FORM_COOKIE, value, int(staff.LOGIN.total_seconds()))


def check_form(request: Request, form: Form) -> None:
    """Raise Refusal unless a form of somebody not logged in came from our own page in this browser.

    Its cookie is not sent from other sites, so a browser that names no origin (`null`: the page is no-referrer) is let
    through to the proof.
    """
    if request.headers.get("origin") != "null" or "sec-fetch-site" in request.headers:
        _same_origin(request)
    name = request.cookies.get(_name(FORM_COOKIE), "")
    if not name or not _proven(form, tokens.csrf(name, "form")):
        raise Refusal(403, "unproven")


def _proven(form: Form, wanted: str) -> bool:
    return hmac.compare_digest(form.get("csrf").encode("utf-8", "replace"), wanted.encode())


def _same_origin(request: Request) -> None:
    """Refuse what a browser itself says comes from another site; one that says whence needs no origin.

    (From a no-referrer page the origin is `null`, our own included.)
    """
    said = request.headers.get("sec-fetch-site")
    if said is not None and said not in ("same-origin", "none"):
        raise Refusal(403, "unproven")
    if said is None and request.headers.get("origin", "") not in ("", settings.current().site, _origin(request)):
        raise Refusal(403, "unproven")


def surely_ours(request: Request) -> bool:
    """Tell whether a browser says that the form stood on a page of ours."""
    said = request.headers.get("sec-fetch-site")
    return said == "same-origin" or (said is None and request.headers.get("origin", "") == settings.current().site)


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _name(cookie: str) -> str:
    return f"__Secure-{cookie}" if _https() else cookie


def _https() -> bool:
    return settings.current().site.startswith("https:")


def _set(response: Response, cookie: str, value: str, seconds: int) -> None:
    response.set_cookie(
        _name(cookie), value, max_age=seconds, path="/desk", secure=_https(), httponly=True, samesite="lax"
    )
