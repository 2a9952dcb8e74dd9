"""Somebody's own page: their newsrooms, their password, the browsers in which they are logged in."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from service import audit, database, staff
from service.web.desk.door import Anyone, Sent
from service.web.desk.frame import go, show
from service.web.desk.home import number_of

router = APIRouter()

PAGE = "/desk/account"


@router.get(PAGE)
def account(request: Request, who: Anyone) -> Response:
    """Show who somebody is here."""
    return _page(request, who)


def _page(request: Request, who: Anyone, status: int = 200, problem: str = "", field: str = "") -> Response:
    with database.reading() as session:
        now = database.now(session)
        return show(
            request,
            "account.html",
            who,
            status,
            problem=problem,
            field=field,
            shortest=staff.SHORTEST,
            memberships=staff.memberships(session, who.staff.id),
            logins=staff.logins(session, who.staff.id, now),
        )


@router.post("/desk/account/password")
def password(request: Request, who: Anyone, form: Sent) -> Response:
    """Change the password of somebody who knows the present one; their other log-ins end."""
    fresh = form.get("password-new")
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
        staff.set_password(session, who.staff.id, hashed, who.login_id)
        audit.note(session, who.actor, "staff.password", database.now(session), subject=who.staff.address)
    return go(PAGE, "password")


@router.post("/desk/account/logins/{number}/end")
def end_login(who: Anyone, number: str) -> Response:
    """End one of one's own log-ins."""
    with database.transaction() as session:
        staff.log_out(session, who.staff.id, number_of(number))
        audit.note(session, who.actor, "logout", database.now(session))
    return go(PAGE, "ended")


@router.post("/desk/account/logins/end")
def end_others(who: Anyone) -> Response:
    """End all of one's log-ins but this one."""
    with database.transaction() as session:
        staff.log_out_everywhere(session, who.staff.id, who.login_id)
        audit.note(session, who.actor, "logout", database.now(session), subject="others")
    return go(PAGE, "ended")
