"""People, keys and the log of a newsroom: the administrators' pages."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from service import address, audit, database, keys, settings, staff
from service.models import ApiKey, Staff
from service.states import Role
from service.web.desk.door import Admin, Desk, Sent
from service.web.desk.frame import go, say, show
from service.web.desk.home import number_of
from service.web.desk.problems import Problems
from service.web.errors import Refusal

PATH = "/desk/{newsroom}/people"
LOG = "/desk/{newsroom}/log"
PAGE = 100

router = APIRouter()


@router.get(PATH)
def people(request: Request, desk: Admin) -> Response:
    """Show who may do what, and the programs' keys."""
    return _page(request, desk)


def _page(request: Request, desk: Desk, status: int = 200, **more: Any) -> Response:
    usual: dict[str, Any] = {"problems": Problems(), "typed": {}, "link": "", "link_of": None, "secret": ""}
    with database.reading() as session:
        members = staff.members(session, desk.newsroom.id)
        found = [key for key in keys.every(session, desk.newsroom.id) if key.revoked_at is None]
    days = staff.LINK.days
    return show(request, "people.html", desk, status, None, members=members, keys=found, days=days, **usual | more)


@router.post(PATH)
def add(request: Request, desk: Admin, form: Sent) -> Response:
    """Add somebody new, or change a member's role; one without a password gets a link, shown this once."""
    typed = {"address": form.get("address"), "name": form.get("name"), "role": form.get("role")}
    try:
        good = address.parse(typed["address"])
    except address.BadAddress:
        problems = Problems(address=say(desk, "The address does not look right. Write it like name@example.org."))
        return _page(request, desk, 422, typed=typed, problems=problems)
    if not _is_line(typed["name"], 200):
        return _page(request, desk, 422, typed=typed, problems=Problems(name=say(desk, "Write the name on one line.")))
    if good.hash == desk.staff.address_hash:
        return go(_place(desk), "oneself")
    role = _role(typed["role"])
    try:
        with database.transaction() as session:
            _still_admin(session, desk)
            added = staff.add_here(session, good, typed["name"].strip(), desk.newsroom, role, database.now(session))
            _note(session, desk, "staff.add", added.staff.address, role=role.value)
    except staff.Elsewhere:
        why = say(
            desk, "They have an account already. Ask whoever runs this installation to add them: utskick staff add."
        )
        return _page(request, desk, 422, typed=typed, problems=Problems(address=why))
    if added.token:
        return _page(request, desk, link=_link(added.token), link_of=added.staff)
    return go(_place(desk), "added" if added.staff.password_hash else "added-elsewhere")


@router.post(PATH + "/{number}/role")
def change(desk: Admin, number: str, form: Sent) -> Response:
    """Give somebody another role; nobody changes their own, so that an administrator remains."""
    role = _role(form.get("role"))
    with database.transaction() as session:
        _still_admin(session, desk)
        known = _member(session, desk, number)
        if known.id == desk.staff.id:
            return go(_place(desk), "oneself")
        staff.set_role(session, known.id, desk.newsroom.id, role)
        _note(session, desk, "staff.add", known.address, role=role.value)
    return go(_place(desk), "role")


@router.get(PATH + "/{number}/remove")
def ask_to_remove(request: Request, desk: Admin, number: str) -> Response:
    """Ask whether somebody's role is to be taken away."""
    with database.reading() as session:
        known = _member(session, desk, number)
    return show(request, "remove.html", desk, known=known, at=_place(desk))


@router.post(PATH + "/{number}/remove")
def remove(desk: Admin, number: str) -> Response:
    """Take somebody's role away."""
    with database.transaction() as session:
        _still_admin(session, desk)
        known = _member(session, desk, number)
        if known.id == desk.staff.id:
            return go(_place(desk), "oneself")
        staff.remove(session, known.id, desk.newsroom.id)
        _note(session, desk, "staff.remove", known.address)
    return go(_place(desk), "removed")


@router.post(PATH + "/{number}/link")
def link(request: Request, desk: Admin, number: str) -> Response:
    """Make a new one-time link for somebody of this newsroom alone, and show it this once."""
    with database.transaction() as session:
        _still_admin(session, desk)
        known = _member(session, desk, number)
        token = _own_link(session, desk, known)
        _note(session, desk, "staff.link", known.address)
    return _page(request, desk, link=_link(token), link_of=known)


@router.post(PATH + "/keys")
def make_key(request: Request, desk: Admin, form: Sent) -> Response:
    """Make a program's key and show it this once."""
    name = form.get("key-name").strip()
    if not name or not _is_line(name, 100):
        problems = Problems({"key-name": say(desk, "Give the key a name, so that you know it later.")})
        return _page(request, desk, 422, problems=problems, typed={"key-name": name})
    role = _role(form.get("key-role"))
    with database.transaction() as session:
        _still_admin(session, desk)
        _, secret = keys.make(session, desk.newsroom, role, name, database.now(session))
        _note(session, desk, "key.make", name, role=role.value)
    return _page(request, desk, secret=secret)


@router.get(PATH + "/keys/{number}/revoke")
def ask_to_revoke(request: Request, desk: Admin, number: str) -> Response:
    """Ask whether a key is to be closed for good."""
    with database.reading() as session:
        key = _key(session, desk, number)
    return show(request, "revoke.html", desk, key=key, at=_place(desk))


@router.post(PATH + "/keys/{number}/revoke")
def revoke(desk: Admin, number: str) -> Response:
    """Close a key of this newsroom for good."""
    with database.transaction() as session:
        _still_admin(session, desk)
        key = _key(session, desk, number)
        if keys.revoke(session, key.id, database.now(session)):
            _note(session, desk, "key.revoke", key.name)
    return go(_place(desk), "revoked")


@router.get(LOG)
def log(request: Request, desk: Admin) -> Response:
    """Show who did what, newest first."""
    asked = request.query_params.get("before", "")
    before = number_of(asked) if asked else None
    with database.reading() as session:
        rows = audit.latest(session, desk.newsroom.id, PAGE + 1, before)
    more = rows[PAGE - 1].id if len(rows) > PAGE else None
    return show(request, "log.html", desk, rows=rows[:PAGE], more=more)


def _place(desk: Desk) -> str:
    return f"/desk/{desk.newsroom.slug}/people"


def _still_admin(session: Session, desk: Desk) -> None:
    """Let administrators act one at a time, so that two who remove each other leave one."""
    database.one_at_a_time(session, f"people:{desk.newsroom.id}")
    if staff.role_in(session, desk.staff.id, desk.newsroom.id) is not Role.ADMIN:
        raise Refusal(403, "role")


def _role(text: str) -> Role:
    if text not in list(Role):
        raise Refusal(422, "unknown_role")
    return Role(text)


def _is_line(text: str, longest: int) -> bool:
    return text.isprintable() and len(text) <= longest


def _member(session: Session, desk: Desk, number: str) -> Staff:
    found = {one.staff_id: one.staff for one in staff.members(session, desk.newsroom.id)}
    known = found.get(number_of(number))
    if known is None:
        raise Refusal(404, "not_found")
    return known


def _key(session: Session, desk: Desk, number: str) -> ApiKey:
    mine = {key.id: key for key in keys.every(session, desk.newsroom.id)}
    key = mine.get(number_of(number))
    if key is None:
        raise Refusal(404, "not_found")
    return key


def _own_link(session: Session, desk: Desk, known: Staff) -> str:
    try:
        return staff.link_here(session, known, desk.newsroom.id, database.now(session))
    except staff.Elsewhere:  # else an administrator here could get in there
        raise Refusal(403, "elsewhere") from None


def _link(token: str) -> str:
    return f"{settings.current().site}/desk/password/{token}"


def _note(session: Session, desk: Desk, act: str, subject: str, **details: Any) -> None:
    audit.note(session, desk.actor, act, database.now(session), desk.newsroom.id, subject, **details)
