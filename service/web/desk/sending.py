"""The send page: one sentence, one button; or a time. And what takes a release back."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from service import audit, broker, database, drafts, mail, moments, relay, releases, subscriptions
from service.i18n import translate
from service.models import Release, Version
from service.moments import BadMoment
from service.releases import Publication, PublishError
from service.states import ReleaseState
from service.web.desk import writing
from service.web.desk.door import Desk, Editor, Publisher, Sent
from service.web.desk.drafting import ONE, found, place
from service.web.desk.forms import Form
from service.web.desk.frame import go, show
from service.web.errors import Refusal

MOMENTS = {
    "unreadable": "That is not a date and a time. Write them like 2026-03-01 and 09:30.",
    "far": "That is too far away. Write a year from 1900 to 2999.",
    "twice": "That time happens twice, because the clocks go back. Choose which one you mean.",
    "never": "That time does not exist, because the clocks go forward. Choose one before or after.",
    "past": "That time has passed. Choose a later one, or publish now.",
}
REFUSALS = {
    "empty": "The release has neither lead nor body yet. Write something first.",
    "withdrawn": "The release has been withdrawn. Write a new one instead.",
    "mail": "No mail can be made of this release: it is too long even without its body.",
}

router = APIRouter()


@dataclass(frozen=True)
class Chosen:
    """When it is to go out: date and time as typed, or one of the choices offered; empty: now."""

    date: str = ""
    time: str = ""
    choice: str = ""

    @property
    def text(self) -> str:
        """The moment as `moments.parse` takes it; a date alone is none, lest it go out at midnight."""
        date, time = self.date.strip(), self.time.strip()
        return self.choice or (f"{date} {time}" if date and time else "")


@router.get(ONE + "/send")
def ask(request: Request, desk: Editor, number: str) -> Response:
    """Say to how many it goes and from whom. Looking sends nothing."""
    release, version = found(desk, number)
    if release.state in (ReleaseState.PUBLISHED, ReleaseState.WITHDRAWN):
        return go(place(desk, release.id))
    seen = request.query_params.get("revision", "")  # of the preview, which leads here
    return _page(request, desk, release, version, stale=seen not in ("", str(release.revision)))


@router.post(ONE + "/send")
def send(request: Request, desk: Publisher, number: str, form: Sent) -> Response:
    """Publish and mail, or schedule it; again gives what is there."""
    release, version = found(desk, number)
    chosen = Chosen(form.get("date"), _clock(form.get("time")), form.get("choice"))
    try:
        done, anybody = _publish(desk, release, form, chosen)
    except BadMoment as bad:
        said, choices = translate(desk.newsroom.language, MOMENTS[bad.code]), _choices(desk, bad)
        return _page(request, desk, release, version, 422, chosen=chosen, problem=said, choices=choices)
    except PublishError as error:
        said = translate(desk.newsroom.language, REFUSALS.get(error.code, REFUSALS["mail"]))
        return _page(request, desk, release, version, 422, refused=said)
    except drafts.Stale:
        return _page(request, desk, release, version, 409, stale=True)
    except LookupError:  # deleted this very moment
        raise Refusal(404, "not_found") from None
    if done.made and done.dispatch is not None:
        broker.ring(broker.EXPAND, done.dispatch.id)
    return _lead_to(desk, done, anybody=anybody)


def _chosen(desk: Desk, release: Release) -> Chosen:
    """Return the time that stands, for the form in which it is changed."""
    if release.publish_at is None:
        return Chosen()
    local = release.publish_at.astimezone(ZoneInfo(desk.newsroom.timezone))
    return Chosen(f"{local:%Y-%m-%d}", f"{local:%H:%M}")


def _clock(typed: str) -> str:
    """Return 9.30 as 09:30, which the field can show again too; what is no time stays as typed."""
    found = re.fullmatch(r"\s*([0-9]{1,2})[.:]([0-9]{2})\s*", typed)
    return f"{found[1]:0>2}:{found[2]}" if found else typed


def _choices(desk: Desk, bad: BadMoment) -> list[tuple[str, datetime, str]]:
    """Return what may be meant as (value, moment, offset where the clock alone does not tell)."""
    offsets = [re.search(r"[+-][0-9:]{5}$", choice) if bad.code == "twice" else None for choice in bad.choices]
    return [
        (choice, moments.parse(choice, desk.newsroom.timezone), offset[0] if offset else "")
        for choice, offset in zip(bad.choices, offsets, strict=True)
    ]


def _publish(desk: Desk, release: Release, form: Form, chosen: Chosen) -> tuple[Publication, bool]:
    """Publish; return what it gave, and whether anybody follows."""
    later = form.get("when") == "later" or bool(chosen.choice)
    with database.transaction() as session:
        now = database.now(session)
        at = moments.parse_future(chosen.text, desk.newsroom.timezone, now) if later else None
        revision = writing.revision(form)
        done = drafts.publish(session, desk.newsroom, release.id, now, revision=revision, at=at)
        if done.made:
            version = releases.current(session, done.release)
            _note(session, desk, "release.schedule" if at else "release.publish", now, done.release, version)
        return done, subscriptions.reachable(session, desk.newsroom.id, now) > 0


def _lead_to(desk: Desk, done: Publication, *, anybody: bool) -> Response:
    if done.dispatch is not None:
        note = ("published" if anybody else "on-the-web") if done.made else "already"
        return go(f"/desk/{desk.newsroom.slug}/dispatches/{done.dispatch.id}", note)
    scheduled = done.release.state is ReleaseState.SCHEDULED
    return go(place(desk, done.release.id), "scheduled" if scheduled else "on-the-web")


def _page(request: Request, desk: Desk, release: Release, version: Version, status: int = 200, **more: Any) -> Response:
    usual: dict[str, Any] = {
        "chosen": _chosen(desk, release),
        "problem": "",
        "choices": (),
        "refused": "",
        "stale": False,
    }
    with database.reading() as session:
        now = database.now(session)
        count = subscriptions.reachable(session, desk.newsroom.id, now)
        away = relay.state(session)
    opened = _mail(desk, release, version, now)
    more = {**usual, **more, "count": count, "away": away, "sender": mail.sender(desk.newsroom), "mail": opened}
    return show(request, "send.html", desk, status, release=release, version=version, **more)


def _mail(desk: Desk, release: Release, version: Version, now: datetime) -> mail.Opened | None:
    try:
        return mail.preview(desk.newsroom, release, version, now, address=desk.staff.address)
    except ValueError:
        return None


@router.post(ONE + "/unschedule")
def unschedule(desk: Publisher, number: str) -> Response:
    """Make a scheduled release a draft again."""
    release, version = found(desk, number)
    with database.transaction() as session:
        now = database.now(session)
        done = drafts.unschedule(session, desk.newsroom.id, release.id, now)
        if done:
            _note(session, desk, "release.unschedule", now, release, version)
    return go(place(desk, release.id), "unscheduled" if done else "")


@router.get(ONE + "/withdraw")
def ask_to_withdraw(request: Request, desk: Publisher, number: str) -> Response:
    """Say what withdrawing does."""
    release, version = found(desk, number)
    if release.state is not ReleaseState.PUBLISHED:
        return go(place(desk, release.id))
    return show(request, "withdraw.html", desk, release=release, version=version)


@router.post(ONE + "/withdraw")
def withdraw(desk: Publisher, number: str) -> Response:
    """Take a published release off the web and stop its mailing."""
    release, version = found(desk, number)
    if release.state not in (ReleaseState.PUBLISHED, ReleaseState.WITHDRAWN):
        return go(place(desk, release.id))
    with database.transaction() as session:
        now = database.now(session)
        current, _ = drafts.read(session, desk.newsroom.id, release.id, lock=True)
        done = current.state is ReleaseState.PUBLISHED and releases.withdraw(session, current, now)
        if done:
            _note(session, desk, "release.withdraw", now, release, version)
    return go(place(desk, release.id), "withdrawn")


def _note(session: Session, desk: Desk, act: str, now: datetime, release: Release, version: Version) -> None:
    audit.note(session, desk.actor, act, now, desk.newsroom.id, version.headline, release=release.id)
