"""The newsroom's settings: everything that its file says, in a form."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError

from service import audit, database, mail, newsrooms
from service.files import ContactFields
from service.models import Newsroom
from service.newsrooms import PLAIN, NewsroomFile
from service.web import look
from service.web.desk import problems
from service.web.desk.door import Admin, Desk, Sent
from service.web.desk.forms import Form
from service.web.desk.frame import go, show
from service.web.desk.problems import Problems

PATH = "/desk/{newsroom}/settings"
NESTED = (("sender", "name"), ("sender", "address"), ("privacy", "controller"), ("privacy", "data_protection_officer"))
SPARE = 1
"""Empty rows for further contacts."""
MOST_CONTACTS = 60

Typed = dict[str, Any]
router = APIRouter()


@router.get(PATH)
def settings(request: Request, desk: Admin) -> Response:
    """Show the form."""
    return _form(request, desk, _kept(desk.newsroom))


@router.post(PATH)
def save(request: Request, desk: Admin, form: Sent) -> Response:
    """Make the newsroom be as the form says; on any trouble the form comes back with what was typed."""
    typed = _typed(form)
    try:
        file = NewsroomFile.model_validate(_fields(typed, desk.newsroom.slug))
    except ValidationError as error:
        return _form(request, desk, typed, 422, problems=problems.of(error, desk.newsroom.language))
    with database.transaction() as session:
        database.one_at_a_time(session, f"newsroom {desk.newsroom.slug}")
        current = newsrooms.get(session, desk.newsroom.slug)
        assert current is not None  # noqa: S101 - newsrooms do not go
        before = newsrooms.fields(current)
        stale = typed["read_at"] != _stamp(current.updated_at)
        if not stale:
            now = database.now(session)
            after = newsrooms.fields(newsrooms.load(session, file, now))
            changed = newsrooms.changed(before, after)
            audit.note(session, desk.actor, "newsroom.save", now, current.id, current.name, changed=changed)
            return go(f"/desk/{current.slug}/settings", "saved")
        there = _kept(current)
    again = typed | {"read_at": there["read_at"]}  # sent once more, it replaces what is there knowingly
    return _form(request, desk, again, 409, meanwhile=_differences(typed, there))


def _form(request: Request, desk: Desk, typed: Typed, status: int = 200, **more: Any) -> Response:
    usual: dict[str, Any] = {"problems": Problems(), "meanwhile": None}
    rows = [*typed["contacts"], *(dict.fromkeys(ContactFields.model_fields, "") for _ in range(SPARE))]
    shown = {"typed": typed, "rows": rows, "default_sender": mail.sender(desk.newsroom), "house_accent": look.DEFAULT}
    return show(request, "settings.html", desk, status, None, **shown, **usual | more)


def _kept(newsroom: Newsroom) -> Typed:
    """Return the form of a newsroom as it is."""
    typed: Typed = {field: getattr(newsroom, field) for field in PLAIN}
    typed |= {"sender.name": newsroom.sender_name, "sender.address": newsroom.sender_address}
    typed |= {f"privacy.{field}": newsroom.privacy.get(field, "") for _, field in NESTED[2:]}
    people = [{field: getattr(one, field) for field in ContactFields.model_fields} for one in newsroom.contacts]
    return typed | {"contacts": people, "read_at": _stamp(newsroom.updated_at)}


def _typed(form: Form) -> Typed:
    """Return the form as it was sent; a contact whose row is empty is gone."""
    typed: Typed = {field: form.get(field) for field in PLAIN}
    typed |= {f"{group}.{field}": form.get(f"{group}.{field}") for group, field in NESTED}
    people = [
        {field: form.get(f"contacts.{row}.{field}") for field in ContactFields.model_fields}
        for row in range(MOST_CONTACTS)
    ]
    filled = [one for one in people if any(value.strip() for value in one.values())]
    return typed | {"contacts": filled, "read_at": form.get("read_at")}


def _fields(typed: Typed, slug: str) -> dict[str, Any]:
    """Return the form as the fields of a newsroom's file."""
    plain = {field: typed[field] for field in PLAIN}
    sender = {"name": typed["sender.name"], "address": typed["sender.address"]}
    privacy = {field: typed[f"privacy.{field}"] for _, field in NESTED[2:]}
    nested = {"sender": sender if any(part.strip() for part in sender.values()) else None, "privacy": privacy}
    return plain | nested | {"slug": slug, "contacts": typed["contacts"]}


def _differences(typed: Typed, there: Typed) -> list[tuple[str, str]]:
    """Return what is kept now where it differs from what was typed, as (field, value)."""
    plain = [field for field in typed if field not in ("read_at", "contacts") and typed[field] != there[field]]
    lines = [(field, str(there[field])) for field in plain]
    if typed["contacts"] != there["contacts"]:
        lines.append(("contacts", "\n".join(", ".join(filter(None, one.values())) for one in there["contacts"])))
    return lines


def _stamp(moment: datetime) -> str:
    return moment.isoformat()
