"""Who did what and when: one row for each act, written in the act's own transaction and never changed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from service.models import ApiKey, Audit, Release, Staff

LONGEST_SUBJECT = 300


@dataclass(frozen=True)
class Actor:
    """Whoever acts: one of the staff, a program with its key, or the command line."""

    called: str
    staff_id: int | None = None


COMMAND_LINE = Actor("utskick")


def person(staff: Staff) -> Actor:
    """Return one of the staff as an actor."""
    return Actor(staff.called, staff.id)


def program(key: ApiKey) -> Actor:
    """Return a program as an actor."""
    return Actor(f"{key.name} ({key.hint}…)")


def note(
    session: Session,
    actor: Actor,
    act: str,
    now: datetime,
    newsroom_id: int | None = None,
    subject: str = "",
    **details: Any,
) -> None:
    """Write down an act (`release.publish`), on what (a headline, an address of staff) and what else tells of it."""
    session.add(
        Audit(
            at=now,
            newsroom_id=newsroom_id,
            staff_id=actor.staff_id,
            actor=actor.called,
            act=act,
            subject=subject[:LONGEST_SUBJECT],
            details=details,
        )
    )


def latest(session: Session, newsroom_id: int, limit: int = 100, before: int | None = None) -> list[Audit]:
    """Return the latest acts in a newsroom with their staff, newest first; `before` a row's id, for the next page."""
    wanted = select(Audit).where(Audit.newsroom_id == newsroom_id).order_by(Audit.id.desc()).limit(limit)
    wanted = wanted.options(joinedload(Audit.staff))
    return list(session.scalars(wanted.where(Audit.id < before) if before else wanted))


def by_command_line_alone(session: Session, release: Release) -> bool:
    """Tell whether a release came from a file, by the command line, and nobody else has had a hand in it."""
    its = (Audit.newsroom_id == release.newsroom_id, Audit.details["release"].as_integer() == release.id)
    acts = session.scalars(select(Audit).where(*its)).all()
    return bool(acts) and all((act.actor, act.staff_id) == (COMMAND_LINE.called, None) for act in acts)
