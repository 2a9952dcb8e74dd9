"""Following from a page that is not ours: the CMS shows the field, we ask for the confirmation."""

from fastapi import APIRouter

from service import address, broker, database, limits, subscriptions
from service.address import Address, BadAddress
from service.web.api.document import answers
from service.web.api.door import Editor
from service.web.api.problem import BASE, Problem
from service.web.api.shapes import Asked, Follow
from service.web.consent import FollowBox, as_shown

ADDRESSES = {
    "empty": "it must not be empty",
    "long": "it is too long for an address",
    "several": "it must be one address",
    "control": "it holds control characters",
    "local_part": "what stands before the @ must be ASCII",
    "domain": "the domain takes no mail",
    "syntax": "it is not an email address",
}

router = APIRouter(prefix=BASE, tags=["subscriptions"])


@router.post(
    "/newsrooms/{newsroom}/subscriptions",
    status_code=202,
    operation_id="follow",
    summary="Follow a newsroom",
    responses=answers(body=True),
)
def follow(caller: Editor, newsroom: str, wanted: Follow) -> Asked:
    """Take somebody's request to follow: they get a mail that asks them to confirm."""
    room = caller.enter(newsroom)
    good = _address(wanted.email)
    if wait := limits.newsroom(room.slug):
        raise Problem("too-many", "Too many ask to follow this newsroom just now.", {"Retry-After": str(wait)})
    box = FollowBox(room, wanted.language or room.language, wanted.page or f"{BASE}/newsrooms/{room.slug}")
    shown = as_shown(box.page, box.language, wanted.consent or box.consent)
    with database.transaction() as session:
        subscriptions.subscribe(session, room, good, shown, database.now(session))
    broker.ring(broker.CONFIRM)
    return Asked(newsroom=room.slug)


def _address(typed: str) -> Address:
    try:
        return address.parse(typed)
    except BadAddress as bad:
        raise Problem("invalid", errors=[{"pointer": "#/email", "detail": ADDRESSES[bad.code]}]) from None
