"""Releases: published once, shown, withdrawn."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, joinedload

from service import mail, settlement
from service.files import SLUG
from service.mail import Compiled
from service.models import Dispatch, Message, Newsroom, Release, Version
from service.release_file import Content, ReleaseFile
from service.states import DispatchState, Kind, ReleaseState


class PublishError(Exception):
    """Why a release was not published, in one line and as a code; nothing was changed.

    Codes: withdrawn, draft, scheduled, other (content, under the same slug), mail (it cannot be made), empty.
    """

    def __init__(self, line: str, code: str) -> None:
        super().__init__(line)
        self.code = code


@dataclass(frozen=True)
class Published:
    """A release with the version that readers see."""

    release: Release
    version: Version


@dataclass(frozen=True)
class Publication:
    """What publishing gave: `made` is False where the same content was there before.

    `shortened`: too long for a mail, which ends with a link to the whole text.
    """

    release: Release
    dispatch: Dispatch | None
    made: bool
    shortened: bool = False


def publish(
    session: Session,
    newsroom: Newsroom,
    file: ReleaseFile,
    now: datetime,
    *,
    at: datetime | None = None,
    date: datetime | None = None,
    mailed: bool = True,
) -> Publication:
    """Publish a release once, now or `at` a time; the same content again gives what is there. Raise PublishError.

    `date` is when an old release was published elsewhere; it needs `mailed=False`.
    """
    created = make(session, newsroom.id, file.slug, Kind(file.kind), now)
    release = session.scalars(
        select(Release).where(Release.newsroom_id == newsroom.id, Release.slug == file.slug).with_for_update()
    ).one()
    if not created:
        return _repeat(session, newsroom, release, file)
    version = version_of(release, newsroom.language, file, now)
    session.add(version)
    session.flush()
    return go_public(session, release, version, now, at=at, date=date, mailed=mailed)


def go_public(
    session: Session,
    release: Release,
    version: Version,
    now: datetime,
    *,
    at: datetime | None = None,
    date: datetime | None = None,
    mailed: bool = True,
) -> Publication:
    """Publish a locked draft (or what was scheduled) now, or schedule it. Raise PublishError."""
    release.mailed, release.updated_at = mailed, now
    session.flush()
    compiled = _compile(release.newsroom, release, version, at or date or now) if mailed else None
    if at is None:
        _publish_now(session, release, date or now, compiled, from_state=release.state)
    else:  # compiled for what it shows: a mail that cannot be made stops the command, not the sweep at nine
        release.state, release.publish_at = ReleaseState.SCHEDULED, at
        session.flush()
    shortened = compiled is not None and compiled.shortened
    return Publication(release, dispatch_of(session, release), made=True, shortened=shortened)


def _compile(newsroom: Newsroom, release: Release, version: Version, at: datetime) -> Compiled:
    as_then = Release(slug=release.slug, kind=release.kind, published_at=at)
    try:
        return mail.compile_release(newsroom, as_then, version)
    except ValueError as error:
        raise PublishError(f"{newsroom.slug}/{release.slug} cannot be mailed: {error}", "mail") from None


def make(session: Session, newsroom_id: int, slug: str, kind: Kind, now: datetime) -> bool:
    """Make a release's row, a draft; False where there is one, also when another process makes it this very moment."""
    new = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    made = new(Release).values(
        newsroom_id=newsroom_id,
        slug=slug,
        kind=kind,
        state=ReleaseState.DRAFT,
        version=1,
        mailed=True,
        created_at=now,
        updated_at=now,
    )
    once = made.on_conflict_do_nothing(index_elements=["newsroom_id", "slug"]).returning(Release.id)
    return session.execute(once).first() is not None


def version_of(release: Release, language: str, content: Content, now: datetime) -> Version:
    """Return what a release says as its first version, not yet kept; `language` where the content names none."""
    return Version(
        release_id=release.id,
        number=1,
        language=content.language or language,
        headline=content.headline,
        lead=content.lead,
        body=content.body,
        keywords=content.keywords,
        created_at=now,
        contacts=[contact.model_dump() for contact in content.contacts],
    )


def _repeat(session: Session, newsroom: Newsroom, release: Release, file: ReleaseFile) -> Publication:
    name = f"{newsroom.slug}/{release.slug}"
    if release.state is ReleaseState.WITHDRAWN:
        raise PublishError(f"{name} was withdrawn; publish it anew under another slug", "withdrawn")
    if release.state is ReleaseState.DRAFT:
        raise PublishError(f"{name} is a draft at the desk; publish it there, or this under another slug", "draft")
    kept = current(session, release)
    wanted = version_of(release, kept.language, file, kept.created_at)
    fields = ("language", "headline", "lead", "body", "keywords", "contacts")
    if release.kind != file.kind or any(getattr(kept, field) != getattr(wanted, field) for field in fields):
        if release.state is ReleaseState.SCHEDULED:
            raise PublishError(
                f"{name} is scheduled with other content; withdraw it first, then publish this", "scheduled"
            )
        raise PublishError(
            f"{name} is already published; use `release correct` (not in this version yet), or publish it beside "
            "under another `slug`; nothing was changed",
            "other",
        )
    return Publication(release, dispatch_of(session, release), made=False)


def _publish_now(
    session: Session, release: Release, published_at: datetime, compiled: Compiled | None, *, from_state: ReleaseState
) -> bool:
    """Publish by one conditional UPDATE, with the dispatch and its compiled mail in the same transaction."""
    done = session.execute(
        update(Release)
        .where(Release.id == release.id, Release.state == from_state)
        .values(state=ReleaseState.PUBLISHED, published_at=published_at)
        .returning(Release.id)
    )
    if done.first() is None:
        return False
    session.refresh(release)
    if compiled is not None:
        _dispatch(session, release, compiled, published_at)
    return True


def _dispatch(session: Session, release: Release, compiled: Compiled, now: datetime) -> None:
    version = current(session, release)
    dispatch = Dispatch(release_id=release.id, version=version.number, state=DispatchState.EXPANDING, created_at=now)
    session.add(dispatch)
    session.flush()
    session.execute(
        insert(Message).values(
            dispatch_id=dispatch.id, language=version.language, sender=compiled.sender, content=compiled.content
        )
    )


def publish_due(session: Session, release_id: int, now: datetime) -> bool:
    """Publish a scheduled release whose time has come; True where this call did it."""
    due = (Release.id == release_id, Release.state == ReleaseState.SCHEDULED, Release.publish_at <= now)
    release = session.scalar(select(Release).where(*due).with_for_update(of=Release))
    if release is None:  # somebody has just moved it, or published it
        return False
    compiled = _compile(release.newsroom, release, current(session, release), now) if release.mailed else None
    release.updated_at = now
    return _publish_now(session, release, now, compiled, from_state=ReleaseState.SCHEDULED)


def scheduled(session: Session, now: datetime) -> list[int]:
    """Return the releases whose time has come."""
    due = (Release.state == ReleaseState.SCHEDULED, Release.publish_at <= now)
    return list(session.scalars(select(Release.id).where(*due).order_by(Release.publish_at)))


def withdraw(session: Session, release: Release, now: datetime) -> bool:
    """Take a release off the web and stop its mailing; False where that was done before.

    One that is only scheduled has been seen by nobody: it goes without a trace, and its slug is free.
    """
    if _unschedule(session, release):
        return True
    done = session.execute(
        update(Release)
        .where(Release.id == release.id, Release.state == ReleaseState.PUBLISHED)
        .values(state=ReleaseState.WITHDRAWN, withdrawn_at=now)
        .returning(Release.id)
    )
    if done.first() is None:
        return False
    dispatch = dispatch_of(session, release)
    if dispatch is not None:
        settlement.cancel(session, dispatch.id, now)
    session.refresh(release)
    return True


def _unschedule(session: Session, release: Release) -> bool:
    taken = update(Release).where(Release.id == release.id, Release.state == ReleaseState.SCHEDULED)
    if session.execute(taken.values(state=ReleaseState.DRAFT).returning(Release.id)).first() is None:
        return False
    session.execute(delete(Version).where(Version.release_id == release.id))
    session.execute(delete(Release).where(Release.id == release.id))
    return True


def dispatch_of(session: Session, release: Release) -> Dispatch | None:
    """Return the latest dispatch of a release, or None where it is scheduled or not mailed."""
    return session.scalar(
        select(Dispatch).where(Dispatch.release_id == release.id).order_by(Dispatch.id.desc()).limit(1)
    )


def current(session: Session, release: Release) -> Version:
    """Return the version of a release that is (or will be) read."""
    wanted = (Version.release_id == release.id, Version.number == release.version)
    return session.scalars(select(Version).where(*wanted)).one()


def _shown(newsroom_id: int) -> ColumnElement[bool]:
    return and_(Release.newsroom_id == newsroom_id, Release.state == ReleaseState.PUBLISHED)


def latest(session: Session, newsroom_id: int, limit: int, offset: int = 0) -> list[Published]:
    """Return a newsroom's published releases, newest first."""
    rows = session.execute(
        select(Release, Version)
        .join(Version, and_(Version.release_id == Release.id, Version.number == Release.version))
        .where(_shown(newsroom_id))
        .order_by(Release.published_at.desc(), Release.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return [Published(release, version) for release, version in rows]


def count(session: Session, newsroom_id: int) -> int:
    """Return how many releases a newsroom has published."""
    return session.scalar(select(func.count()).select_from(Release).where(_shown(newsroom_id))) or 0


def find(session: Session, newsroom_id: int, slug: str) -> Published | None:
    """Return a release that is published or was withdrawn, or None."""
    public = Release.state.in_((ReleaseState.PUBLISHED, ReleaseState.WITHDRAWN))
    release = by_slug(session, newsroom_id, slug, public)
    if release is None or release.published_at is None:
        return None
    return Published(release, current(session, release))


def by_slug(session: Session, newsroom_id: int, slug: str, *where: ColumnElement[bool]) -> Release | None:
    """Return a release in whatever state, or None."""
    if not SLUG.fullmatch(slug):  # text that a database may not even take
        return None
    wanted = select(Release).where(Release.newsroom_id == newsroom_id, Release.slug == slug, *where)
    return session.scalar(wanted.options(joinedload(Release.newsroom)))


def every(session: Session, limit: int = 100) -> list[Published]:
    """Return the latest releases of all newsrooms in whatever state, newest first."""
    rows = session.execute(
        select(Release, Version)
        .join(Version, and_(Version.release_id == Release.id, Version.number == Release.version))
        .options(joinedload(Release.newsroom))
        .order_by(Release.id.desc())
        .limit(limit)
    )
    return [Published(release, version) for release, version in rows]
