"""The one-time link to set a password. Looking at it uses nothing up: mail scanners do."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from service import audit, database, staff
from service.models import Staff
from service.web.desk import door
from service.web.desk.door import Sent
from service.web.desk.frame import show
from service.web.desk.login import open_door
from service.web.errors import Refusal
from service.web.pages import SECRET

router = APIRouter()


@router.get("/desk/password/{token}")
def ask(request: Request, token: str) -> Response:
    """Show the form, or say that the link is no good."""
    return _form(request, token, _owner(token))


@router.post("/desk/password/{token}")
def choose(request: Request, token: str, form: Sent) -> Response:
    """Set the password, end every log-in, and log in."""
    door.check_form(request, form)
    owner = _owner(token)
    password = form.get("password")
    try:
        staff.check_new(password, owner)
    except staff.BadPassword as bad:
        return _form(request, token, owner, 422, bad.code)
    if password != form.get("password-again"):
        return _form(request, token, owner, 422, "differ")
    hashed = staff.hashed(password)
    with database.transaction() as session:
        now = database.now(session)
        known = staff.set_by_link(session, token, hashed, now)
        if known is None:
            raise Refusal(410, "used", SECRET)
        audit.note(session, audit.person(known), "staff.password", now, subject=known.address)
    opened = open_door(request, known, None)
    if opened is None:  # somebody has reset it in this very moment
        raise Refusal(410, "used", SECRET)
    return opened


def _owner(token: str) -> Staff:
    with database.reading() as session:
        owner = staff.by_link(session, token, database.now(session))
    if owner is None:
        raise Refusal(410, "used", SECRET)
    return owner


def _form(request: Request, token: str, owner: Staff, status: int = 200, problem: str = "") -> Response:
    name, proof = door.form_proof(request)
    more = {"owner": owner, "token": token, "problem": problem, "csrf": proof, "shortest": staff.SHORTEST}
    answer = show(request, "password.html", None, status, SECRET, **more)
    door.give_form_cookie(answer, name)
    return answer
