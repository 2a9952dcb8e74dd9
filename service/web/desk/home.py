"""The desk's first page: one's newsrooms; and the numbers that its addresses hold."""

import re

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from service import database, staff
from service.web.desk.door import Anyone
from service.web.desk.frame import go, show
from service.web.errors import Refusal

LARGEST = 2**31 - 1
"""The largest number of a row that the database can be asked for."""

router = APIRouter()


@router.get("/desk")
def home(request: Request, who: Anyone) -> Response:
    """Show one's newsrooms, or go straight to the only one."""
    with database.reading() as session:
        found = staff.memberships(session, who.staff.id)
    if len(found) == 1:
        return go(f"/desk/{found[0].newsroom.slug}")
    return show(request, "home.html", who, memberships=found)


@router.get("/desk/")
def home_with_slash() -> Response:
    """Lead to the desk somebody who typed a slash behind it."""
    return RedirectResponse("/desk", 308)


def number_of(text: str) -> int:
    """Return a number of a path; 404 for what cannot be one."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else 0
    if not 0 < number <= LARGEST:
        raise HTTPException(404)
    return number


def page_number(asked: str) -> int:
    """Return the number of a page of a list; 404 for what cannot be one."""
    if not re.fullmatch(r"[1-9][0-9]{0,5}", asked):
        raise Refusal(404, "not_found")
    return int(asked)
