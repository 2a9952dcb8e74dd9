"""Releases: created, read, published."""

import hashlib
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from sqlalchemy.orm import Session

from service import audit, books, broker, database, drafts, keys, moments, releases, settings
from service.models import Newsroom, Release
from service.moments import BadMoment
from service.releases import Publication, PublishError
from service.states import ReleaseState, Role
from service.web.api.document import answers
from service.web.api.door import Caller, Editor, Publisher
from service.web.api.problem import BASE, Problem
from service.web.api.shapes import (
    NewRelease,
    Number,
    Publish,
    Published,
    PublishSeen,
    ReleaseLine,
    ReleaseList,
    ReleaseShown,
)

MOMENTS = {
    "unreadable": "it is not a time; write it like 2031-03-01T09:30 or 2031-03-01T09:30+01:00",
    "far": "it is too far away; name a year from 1900 to 2999",
    "twice": "it happens twice in the newsroom's zone (the clocks go back); say which by its offset",
    "never": "it does not exist in the newsroom's zone (the clocks go forward)",
    "past": "it has passed; leave it out to publish now",
}
REFUSALS = {"withdrawn": "withdrawn", "empty": "empty", "mail": "unmailable"}

PATH, ONE = "/newsrooms/{newsroom}/releases", "/releases/{release}"
DISPATCH = {"readDispatch": {"operationId": "readDispatch", "parameters": {"dispatch": "$response.body#/dispatch"}}}
ITSELF = {"release": "$response.body#/id"}
MADE: dict[int | str, dict[str, Any]] = {
    201: {
        "headers": {"Location": {"description": "Where the release is read.", "schema": {"type": "string"}}},
        "links": {name: {"operationId": name, "parameters": ITSELF} for name in ("readRelease", "publishRelease")},
    }
}

router = APIRouter(prefix=BASE, tags=["releases"])


@router.post(
    PATH,
    status_code=201,
    operation_id="createRelease",
    summary="Create a release",
    responses=answers("slug-taken", "empty", "unmailable", "key-reused", body=True) | MADE,
)
def create(
    caller: Editor,
    newsroom: str,
    wanted: NewRelease,
    response: Response,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern="^[ -~]+$",
            description="Names this request: sent again within 7 days it gives the release that it made.",
        ),
    ] = None,
) -> ReleaseShown:
    """Create a release: a draft, or with `publish` one that is published in the same call."""
    room = caller.enter(newsroom)
    if wanted.publish:
        caller.need(Role.PUBLISHER)
    done = None
    with database.transaction() as session:
        release = _made_before(session, caller, idempotency_key, wanted)
        if release is None:
            release = _create(session, caller, room, wanted)
            if idempotency_key:
                now = database.now(session)
                keys.remember(session, caller.key, idempotency_key, _fingerprint(wanted), release, now)
            if wanted.publish:
                done = _publish(session, caller, release, wanted.publish, None, "#/publish")
        shown = _shown(session, caller, release)  # here: once it is committed, nothing may go wrong any more
    _ring(done)
    response.headers["Location"] = _place(release)
    return shown


def _made_before(session: Session, caller: Caller, idempotency_key: str | None, wanted: NewRelease) -> int | None:
    if idempotency_key is None:
        return None
    database.one_at_a_time(session, f"create {caller.key.id} {idempotency_key}")
    try:
        return keys.created_by(session, caller.key, idempotency_key, _fingerprint(wanted))
    except keys.OtherRequest:
        raise Problem("key-reused") from None


def _fingerprint(wanted: NewRelease) -> str:
    """Return a hash of what was sent, without defaults: those of a later version may be others."""
    return hashlib.sha256(wanted.model_dump_json(exclude_unset=True).encode()).hexdigest()


def _create(session: Session, caller: Caller, room: Newsroom, wanted: NewRelease) -> int:
    now = database.now(session)
    try:
        made = drafts.create(session, room, wanted, now)
    except drafts.SlugTaken:
        other = releases.by_slug(session, room.id, wanted.slug)
        raise Problem("slug-taken", release=_place(other.id) if other else None) from None
    audit.note(session, caller.actor, "draft.create", now, room.id, wanted.headline, release=made.id)
    return made.id


@router.get(PATH, operation_id="listReleases", summary="List releases", responses=answers("invalid"))
def listed(
    caller: Editor,
    newsroom: str,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    before: Annotated[Number | None, Query(description="A release's id: those made before it.")] = None,
) -> ReleaseList:
    """List the releases in whatever state, newest first."""
    room = caller.enter(newsroom)
    with database.reading() as session:
        found = drafts.made_before(session, room.id, limit + 1, before)
        mailings = books.dispatches_of(session, [one.release.id for one in found])
    shown = [_line(room, one, mailings.get(one.release.id)) for one in found]
    more = f"{_place(room.slug)}?limit={limit}&before={shown[limit - 1].id}" if shown[limit:] else None
    return ReleaseList(releases=shown[:limit], next=more)


@router.get(ONE, operation_id="readRelease", summary="Read a release", responses=answers())
def read(caller: Editor, release: Number) -> ReleaseShown:
    """Return a release with its text."""
    with database.reading() as session:
        return _shown(session, caller, release)


def _shown(session: Session, caller: Caller, number: int) -> ReleaseShown:
    found = _find(session, caller, number)
    dispatch = releases.dispatch_of(session, found.release)
    line = _line(caller.newsroom, found, dispatch.id if dispatch else None)
    text = {field: getattr(found.version, field) for field in ("lead", "body", "keywords", "contacts")}
    return ReleaseShown(**dict(line), **text, mailed=found.release.mailed, withdrawn_at=found.release.withdrawn_at)


def _find(session: Session, caller: Caller, number: int) -> releases.Published:
    try:
        return releases.Published(*drafts.read(session, caller.newsroom.id, number))
    except LookupError:
        raise Problem("not-found") from None


def _line(room: Newsroom, found: releases.Published, dispatch: int | None) -> ReleaseLine:
    release, version = found.release, found.version
    return ReleaseLine(
        id=release.id,
        newsroom=room.slug,
        slug=release.slug,
        kind=release.kind.value,
        state=release.state.value,
        revision=release.revision,
        version=release.version,
        language=version.language,
        headline=version.headline,
        created_at=release.created_at,
        updated_at=release.updated_at,
        publish_at=release.publish_at,
        published_at=release.published_at,
        dispatch=dispatch,
        url=_url(room, release),
    )


def _place(of: int | str) -> str:
    """Return the address of a release (by id), or of a newsroom's releases (by slug), in the API."""
    path = PATH.format(newsroom=of) if isinstance(of, str) else ONE.format(release=of)
    return f"{settings.current().site}{BASE}{path}"


def _url(room: Newsroom, release: Release) -> str:
    return f"{settings.current().site}/{room.slug}/releases/{release.slug}"


@router.post(
    f"{ONE}/publish",
    status_code=202,
    operation_id="publishRelease",
    summary="Publish a release",
    responses=answers("changed", "withdrawn", "empty", "unmailable", body=True) | {202: {"links": DISPATCH}},
)
def publish(caller: Publisher, release: Number, how: PublishSeen | None = None) -> Published:
    """Publish a release once, now or at a time; again gives the same mailing."""
    how = how or PublishSeen()
    with database.transaction() as session:
        done = _publish(session, caller, release, how, how.revision, "#")
    _ring(done)
    return Published(
        release=f"{caller.newsroom.slug}/{done.release.slug}",
        version=done.release.version,
        state=done.release.state.value,
        publish_at=done.release.publish_at,
        dispatch=done.dispatch.id if done.dispatch else None,
        url=_url(caller.newsroom, done.release),
    )


def _publish(session: Session, caller: Caller, number: int, how: Publish, seen: int | None, place: str) -> Publication:
    """Publish. `seen`: the revision that was read; `place`: where in the request's body `how` stands."""
    now, room = database.now(session), caller.newsroom
    at = _moment(how.at, room, _find(session, caller, number).release, now, f"{place}/at")
    try:
        done = drafts.publish(session, room, number, now, revision=seen, at=at, mailed=how.mail)
    except drafts.Stale as stale:
        raise Problem("changed", f"It is at revision {stale.release.revision} now.") from None
    except PublishError as error:
        raise Problem(REFUSALS[error.code]) from None
    except LookupError:  # deleted this very moment
        raise Problem("not-found") from None
    if done.made:
        headline = releases.current(session, done.release).headline
        act = "release.schedule" if at else "release.publish"
        audit.note(session, caller.actor, act, now, room.id, headline, release=number)
    return done


def _moment(text: str | None, room: Newsroom, release: Release, now: datetime, pointer: str) -> datetime | None:
    """Return when to publish; the time of a request that is repeated may have passed since."""
    if text is None or release.state is ReleaseState.PUBLISHED:
        return None
    try:
        at = moments.parse(text, room.timezone)
        return at if at == release.publish_at else moments.parse_future(text, room.timezone, now)
    except BadMoment as bad:
        error = {
            "pointer": pointer,
            "detail": MOMENTS[bad.code],
            "choices": [choice.replace(" ", "T") for choice in bad.choices],
        }
        raise Problem("invalid", errors=[error]) from None


def _ring(done: Publication | None) -> None:
    if done is not None and done.made and done.dispatch is not None:
        broker.ring(broker.EXPAND, done.dispatch.id)
