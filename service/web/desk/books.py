"""The books of a mailing at the desk, and what can be done about it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from service import audit, bells, books, database, relay, releases, replies, settlement
from service.address import veiled
from service.books import Books
from service.models import Audit, Dispatch, Relay, Version
from service.states import DeliveryState, DispatchState
from service.web.desk.door import Desk, Editor, Publisher, Sent
from service.web.desk.frame import go, show
from service.web.desk.home import number_of, page_number
from service.web.errors import Refusal

ONE = "/desk/{newsroom}/dispatches/{number}"
PAGE = 100
LONG = timedelta(seconds=15)
"""After this long without anybody at it, the page says that no process seems to send."""
UNREACHED = [DeliveryState.REFUSED, DeliveryState.UNCERTAIN, DeliveryState.DEFERRED]
UNDER_WAY = (DispatchState.EXPANDING, DispatchState.SENDING)

router = APIRouter()


@dataclass(frozen=True)
class Shown:
    """What the page tells beside the books: the text that was mailed, and what holds it up.

    The relay while it is away; since when nobody sends, though they should; who paused it.
    """

    books: Books
    version: Version
    away: Relay | None
    idle: datetime | None
    paused: Audit | None


def place(desk: Desk, number: int) -> str:
    """Return the path of a mailing's books."""
    return f"/desk/{desk.newsroom.slug}/dispatches/{number}"


def read(session: Session, desk: Desk, number: str) -> Shown:
    """Return a mailing of this newsroom; 404 for none, or somebody else's."""
    found = books.of(session, number_of(number), desk.newsroom.id)
    if found is None:
        raise Refusal(404, "not_found")
    dispatch, away = found.dispatch, relay.state(session)
    since = None if away else books.idle_since(session, dispatch)
    idle = since if since is not None and found.read_at - since > LONG else None
    paused = books.last_control(session, dispatch) if dispatch.state is DispatchState.PAUSED else None
    return Shown(found, releases.current(session, dispatch.release), away, idle, paused)


def _mailing(session: Session, desk: Desk, number: str) -> Dispatch:
    """Return a mailing of this newsroom without counting; 404 for none, or somebody else's."""
    found = books.dispatch(session, number_of(number), desk.newsroom.id)
    if found is None:
        raise Refusal(404, "not_found")
    return found


@router.get(ONE)
def page(request: Request, desk: Editor, number: str) -> Response:
    """Show the books."""
    return _show(request, desk, number, "dispatch.html")


@router.get(ONE + "/books")
def fresh(request: Request, desk: Editor, number: str) -> Response:
    """Show the books alone, for the page that keeps itself fresh."""
    return _show(request, desk, number, "dispatch_books.html")


def _show(request: Request, desk: Desk, number: str, template: str) -> Response:
    with database.reading() as session:
        shown = read(session, desk, number)
    found = shown.books
    at, state = place(desk, found.dispatch.id), found.dispatch.state
    ended = state in (DispatchState.FINISHED, DispatchState.CANCELLED) and not found.pending
    more: dict[str, Any] = {"poll": not ended, "bar": _bar(found), "tenths": _tenths(found)}
    return show(request, template, desk, shown=shown, books=found, at=at, **more)


def _tenths(found: Books) -> int:
    """Return how far it is, in steps so large that a screen reader may say each of them."""
    return 10 * (found.recipients - found.pending) // found.recipients if found.recipients else 0


def _bar(found: Books) -> list[tuple[str, float, float]]:
    """Return the bar's parts as (class, x, width) of 1,000."""
    parts = (("done", found.accepted), ("not", found.refused + found.skipped), ("doubt", found.uncertain))
    whole, x, bar = max(found.recipients or 0, 1), 0.0, []
    for name, count in parts:
        width = 1000 * count / whole
        bar.append((name, round(x, 2), round(width, 2)))
        x += width
    return bar


@router.get(ONE + "/refused")
def refused(request: Request, desk: Editor, number: str) -> Response:
    """Show who did not get it and why; editors see addresses veiled."""
    asked = page_number(request.query_params.get("page", "1"))
    with database.reading() as session:
        shown = read(session, desk, number)
        rows = books.unreached(session, shown.books.dispatch.id, UNREACHED, PAGE + 1, (asked - 1) * PAGE)
        left = books.left_before(session, shown.books.dispatch.id) if shown.books.skipped else 0
    if asked > 1 and not rows:
        raise Refusal(404, "not_found")
    full = desk.may("publisher")
    lines = [
        {
            "row": row,
            "address": (row.address if full else veiled(row.address)) if row.address else "",
            "meaning": replies.meaning(row.code, row.words),
        }
        for row in rows[:PAGE]
    ]
    more: dict[str, Any] = {"lines": lines, "number": asked, "more": len(rows) > PAGE, "left": left}
    return show(request, "refused.html", desk, shown=shown, at=place(desk, shown.books.dispatch.id), **more)


@router.post(ONE + "/pause")
def pause(desk: Publisher, number: str) -> Response:
    """Hold the mailing: no further mail is begun."""
    with database.transaction() as session:
        found = _mailing(session, desk, number)
        if settlement.pause(session, found.id):
            _note(session, desk, "dispatch.pause", found.id)
            return go(place(desk, found.id), "paused")
    return go(place(desk, found.id), "paused" if found.state is DispatchState.PAUSED else "ended-already")


@router.post(ONE + "/resume")
def resume(desk: Publisher, number: str) -> Response:
    """Let the mailing go on where it was."""
    with database.transaction() as session:
        found = _mailing(session, desk, number)
        done = settlement.resume(session, found.id, database.now(session))
        if done:
            _note(session, desk, "dispatch.resume", found.id)
    if done:
        bells.ring_if_lost(found.id)
    return go(place(desk, found.id), "resumed" if done or found.state in UNDER_WAY else "ended-already")


@router.get(ONE + "/stop")
def ask_to_stop(request: Request, desk: Publisher, number: str) -> Response:
    """Say what stopping does."""
    with database.reading() as session:
        shown = read(session, desk, number)
    at = place(desk, shown.books.dispatch.id)
    if shown.books.dispatch.state in (DispatchState.FINISHED, DispatchState.CANCELLED):
        return go(at)
    return show(request, "stop.html", desk, shown=shown, books=shown.books, at=at)


@router.post(ONE + "/stop")
def stop(desk: Publisher, number: str) -> Response:
    """End the mailing for good: what waits is skipped."""
    with database.transaction() as session:
        found = _mailing(session, desk, number)
        done = settlement.cancel(session, found.id, database.now(session))
        if done:
            _note(session, desk, "dispatch.cancel", found.id)
    return go(place(desk, found.id), "cancelled" if done else "ended-already")


@router.post(ONE + "/decide")
def decide(desk: Publisher, number: str, form: Sent) -> Response:
    """Decide on the mails in doubt that are held: send them again, or leave them."""
    if form.get("resend") not in ("yes", "no"):
        return go(place(desk, number_of(number)))
    resend = form.get("resend") == "yes"
    with database.transaction() as session:
        found = _mailing(session, desk, number)
        now = database.now(session)
        if settlement.decide_held(session, found.id, now, resend=resend):
            _note(session, desk, "dispatch.decide", found.id, resend=resend)
    bells.ring_if_lost(found.id)
    return go(place(desk, found.id), "decided")


def _note(session: Session, desk: Desk, act: str, dispatch_id: int, **details: Any) -> None:
    headline = books.headline(session, dispatch_id)
    now = database.now(session)
    audit.note(session, desk.actor, act, now, desk.newsroom.id, headline, dispatch=dispatch_id, **details)
