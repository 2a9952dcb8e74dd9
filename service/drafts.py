"""Drafts: a release before it is published, written at the desk or by a program, and published once.

A draft's `revision` counts its changes. Whoever saves or publishes names the revision that they saw, so that
two tabs, two people, or a text that changed after it was read are noticed instead of overwritten.
"""

from datetime import datetime

from sqlalchemy import Select, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from service import releases
from service.models import Newsroom, Release, Version
from service.release_file import Content, slug_of
from service.releases import Publication, PublishError
from service.states import Kind, ReleaseState


class Stale(Exception):
    """The draft has changed since it was read; nothing was saved. `release` and `version` are what it is now."""

    def __init__(self, release: Release, version: Version) -> None:
        super().__init__("the draft has changed")
        self.release, self.version = release, version


class NotADraft(Exception):
    """The release is published, scheduled or withdrawn by now; nothing was saved."""

    def __init__(self, release: Release) -> None:
        super().__init__("not a draft any more")
        self.release = release


class SlugTaken(Exception):
    """Another release of the newsroom has this slug."""


def create(session: Session, newsroom: Newsroom, content: Content, now: datetime) -> Release:
    """Keep a new draft; without a slug it gets one made from its headline. Raise SlugTaken."""
    wanted = content.slug or slug_of(content.headline)
    for slug in [wanted] if content.slug else _variants(wanted):
        if releases.make(session, newsroom.id, slug, Kind(content.kind), now):
            release = releases.by_slug(session, newsroom.id, slug)
            assert release is not None  # noqa: S101 - just made
            session.add(_version(release, newsroom, content, now))
            session.flush()
            return release
    raise SlugTaken(wanted)


def _variants(slug: str) -> list[str]:
    return [slug, *(f"{slug[:110].strip('-')}-{number}" for number in range(2, 200))]


def _version(release: Release, newsroom: Newsroom, content: Content, now: datetime) -> Version:
    return releases.version_of(release, newsroom.language, content, now)


def save(
    session: Session, newsroom: Newsroom, release_id: int, content: Content, revision: int, now: datetime
) -> Release:
    """Change a draft from the revision that was read. Raise Stale, NotADraft or SlugTaken; then nothing changed.

    Without a slug it gets one made from its headline.
    """
    release, version = read(session, newsroom.id, release_id, lock=True)
    if release.state is not ReleaseState.DRAFT:
        session.expunge_all()  # a rollback would empty what the error tells
        raise NotADraft(release)
    if release.revision != revision:
        session.expunge_all()
        raise Stale(release, version)
    _name(session, release, content)
    fresh = _version(release, newsroom, content, now)
    for field in ("language", "headline", "lead", "body", "keywords", "contacts"):
        setattr(version, field, getattr(fresh, field))
    release.kind = Kind(content.kind)
    release.revision, release.updated_at = release.revision + 1, now
    session.flush()
    return release


def _name(session: Session, release: Release, content: Content) -> None:
    wanted = content.slug or slug_of(content.headline)
    for slug in [wanted] if content.slug else _variants(wanted):
        if slug == release.slug:
            return
        if releases.by_slug(session, release.newsroom_id, slug) is None:
            break
    else:
        raise SlugTaken(wanted)
    try:
        with session.begin_nested():
            release.slug = slug
    except IntegrityError:  # somebody else took it this very moment
        raise SlugTaken(slug) from None


def read(session: Session, newsroom_id: int, release_id: int, *, lock: bool = False) -> tuple[Release, Version]:
    """Return a release of a newsroom in whatever state, with its version; raise LookupError where there is none."""
    wanted = select(Release).where(Release.id == release_id, Release.newsroom_id == newsroom_id)
    wanted = wanted.options(joinedload(Release.newsroom, innerjoin=True))
    wanted = wanted.execution_options(populate_existing=True)
    release = session.scalar(wanted.with_for_update(of=Release) if lock else wanted)
    if release is None:
        raise LookupError(f"no release {release_id}")
    return release, releases.current(session, release)


def listed(session: Session, newsroom_id: int, limit: int, offset: int = 0) -> list[releases.Published]:
    """Return a newsroom's releases in whatever state, the latest changed first."""
    order = (Release.updated_at.desc(), Release.id.desc())
    rows = session.execute(_of(newsroom_id).order_by(*order).limit(limit).offset(offset))
    return [releases.Published(release, version) for release, version in rows]


def made_before(session: Session, newsroom_id: int, limit: int, before: int | None) -> list[releases.Published]:
    """Return a newsroom's releases in whatever state, newest first; `before` a release's id, for the next page."""
    wanted = _of(newsroom_id).order_by(Release.id.desc()).limit(limit)
    rows = session.execute(wanted.where(Release.id < before) if before else wanted)
    return [releases.Published(release, version) for release, version in rows]


def _of(newsroom_id: int) -> Select[Release, Version]:
    its_version = (Version.release_id == Release.id) & (Version.number == Release.version)
    return select(Release, Version).join(Version, its_version).where(Release.newsroom_id == newsroom_id)


def publish(
    session: Session,
    newsroom: Newsroom,
    release_id: int,
    now: datetime,
    *,
    revision: int | None = None,
    at: datetime | None = None,
    mailed: bool | None = None,
) -> Publication:
    """Publish a draft (or what was scheduled) once, now or `at` a time; again gives what is there.

    `revision`: the one that was read, or None to publish whatever is there. `mailed`: False for the web only, None to
    leave it as it was scheduled. Raise Stale, PublishError, or LookupError where there is no such release (any more).
    """
    release, version = read(session, newsroom.id, release_id, lock=True)
    mailed = release.mailed if mailed is None else mailed
    if release.state is ReleaseState.PUBLISHED:
        return Publication(release, releases.dispatch_of(session, release), made=False)
    if release.state is ReleaseState.WITHDRAWN:
        raise PublishError(f"{newsroom.slug}/{release.slug} was withdrawn", "withdrawn")
    as_before = at is not None and at == release.publish_at and mailed == release.mailed
    if release.state is ReleaseState.SCHEDULED and as_before:
        return Publication(release, None, made=False)
    if revision is not None and release.revision != revision:
        session.expunge_all()
        raise Stale(release, version)
    if not (version.lead or version.body):
        raise PublishError("the release has neither lead nor body", "empty")
    return releases.go_public(session, release, version, now, at=at, mailed=mailed)


def unschedule(session: Session, newsroom_id: int, release_id: int, now: datetime) -> bool:
    """Make a scheduled release a draft again; False where it was not scheduled (any more)."""
    its = (Release.id == release_id, Release.newsroom_id == newsroom_id, Release.state == ReleaseState.SCHEDULED)
    back = update(Release).where(*its).values(state=ReleaseState.DRAFT, publish_at=None, updated_at=now)
    return session.scalar(back.returning(Release.id)) is not None


def delete_draft(session: Session, newsroom_id: int, release_id: int) -> bool:
    """Delete a draft, which nobody has seen, for good; False where it is no draft (any more)."""
    release = session.scalar(
        select(Release).where(Release.id == release_id, Release.newsroom_id == newsroom_id).with_for_update()
    )
    if release is None or release.state is not ReleaseState.DRAFT:
        return False
    session.execute(delete(Version).where(Version.release_id == release_id))
    session.execute(delete(Release).where(Release.id == release_id))
    return True
