"""Somebody's own page: their newsrooms, their password, the browsers in which they are logged in."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from service import audit, database, limits, staff
from service.web.desk.door import Anyone, LoggedOut, Sent
from service.web.desk.frame import go, show
from service.web.desk.home import number_of
from service.web.errors import Refusal

router = APIRouter()

PAGE = "/desk/account"

PROGRAMS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
)
"""What a browser's `User-Agent` holds, and its name; the first that fits, since most of them also name others."""

SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


@router.get(PAGE)
def account(request: Request, who: Anyone) -> Response:
    """Show who somebody is here."""
    return _page(request, who)


def _page(request: Request, who: Anyone, status: int = 200, problem: str = "", field: str = "") -> Response:
    with database.reading() as session:
        rooms = staff.memberships(session, who.staff.id)
        logins = staff.logins(session, who.staff.id, database.now(session))
    return show(
        request,
        "account.html",
        who,
        status,
        problem=problem,
        field=field,
        shortest=staff.SHORTEST,
        memberships=rooms,
        logins=[(one, *browser(one.agent)) for one in logins],
        zone=rooms[0].newsroom.timezone if rooms else "UTC",
    )


def browser(agent: str) -> tuple[str, str]:
    """Return a browser's name and its system as people call them, empty where a browser does not tell."""
    program = next((name for mark, name in PROGRAMS if mark in agent), "")
    return program, next((name for mark, name in SYSTEMS if mark in agent), "")


@router.post("/desk/account/password")
def password(request: Request, who: Anyone, form: Sent) -> Response:
    """Change the password of somebody who knows the present one; their other log-ins and an open link end."""
    fresh = form.get("password-new")
    if wait := limits.login(request.client.host if request.client else "", who.staff.address):
        raise Refusal(429, "guessed", {"Retry-After": str(wait)})
    if not staff.matches(who.staff.password_hash, form.get("password")):
        return _page(request, who, 422, "present", "password")
    try:
        staff.check_new(fresh, who.staff)
    except staff.BadPassword as bad:
        return _page(request, who, 422, bad.code, "password-new")
    if fresh != form.get("password-again"):
        return _page(request, who, 422, "differ", "password-again")
    hashed = staff.hashed(fresh)
    with database.transaction() as session:
        if not staff.set_password(session, who.staff, hashed, who.login_id):
            raise LoggedOut(form)  # it was reset meanwhile, which ended this log-in
        audit.note(session, who.actor, "staff.password", database.now(session), subject=who.staff.address)
    return go(PAGE, "password")


@router.post("/desk/account/logins/{number}/end")
def end_login(who: Anyone, number: str) -> Response:
    """End one of one's own log-ins."""
    with database.transaction() as session:
        if staff.log_out(session, who.staff.id, number_of(number)):
            audit.note(session, who.actor, "logout", database.now(session))
    return go(PAGE, "ended")


@router.post("/desk/account/logins/end")
def end_others(who: Anyone) -> Response:
    """End all of one's log-ins but this one."""
    with database.transaction() as session:
        if ended := staff.log_out_everywhere(session, who.staff.id, who.login_id):
            audit.note(session, who.actor, "logout", database.now(session), others=ended)
    return go(PAGE, "ended")
