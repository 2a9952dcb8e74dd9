"""Entering everyone who gets a release, a range of followers at a time, so that nobody waits for a long list.

One transaction over a million followers would hold the dispatch's row until its end: who pauses it would wait.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from threading import Event
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service import database
from service.models import Delivery, Dispatch, Release, Subscription
from service.settlement import finish, touched
from service.states import DeliveryKind, DeliveryState, DispatchState, SubscriptionState
from service.suppressions import covers

S = DeliveryState

RANGE = 5_000
"""Followers entered in one transaction: well under a second."""

TURN = 5.0
"""Seconds of ranges; then other dispatches get their turn."""

BREATH_AFTER, BREATH = 0.4, 0.12
"""Seconds of ranges on SQLite, and of rest behind them: its writers do not queue, but ask again every 0.1 s."""


class Progress(Enum):
    """What entering a range came to. NONE: it is not to be expanded (any more), or somebody else is at it."""

    NONE = "none"
    SOME = "some"
    ALL = "all"


@dataclass(frozen=True)
class _List:
    """Who gets a dispatch, those after `entered_to`."""

    dispatch_id: int
    newsroom_id: int
    published_at: datetime
    entered_to: int | None

    @property
    def rest(self) -> ColumnElement[bool]:
        """SQL: followed at the moment of publishing, and is not entered yet. Who they are does not change."""
        return and_(
            Subscription.newsroom_id == self.newsroom_id,
            Subscription.id > (self.entered_to or 0),
            Subscription.confirmed_at <= self.published_at,
            or_(Subscription.ended_at.is_(None), Subscription.ended_at > self.published_at),
        )


def newsroom_lock(newsroom_id: int) -> str:
    """Return the key that those who confirm share, and expanding waits for."""
    return f"followers of {newsroom_id}"


def expand(dispatch_id: int, stopping: Callable[[], bool], size: int = RANGE) -> Progress:
    """Enter range after range for a turn, or until `stopping`; each is a transaction of its own.

    A worker that finds that another has entered the range it was about to leaves the rest to that one.
    """
    began = rested = time.monotonic()
    while True:
        with database.transaction() as session:
            progress = enter(session, dispatch_id, database.now(session), size)
            queueing = session.get_bind().dialect.name != "sqlite"
        if progress is not Progress.SOME or time.monotonic() > began + TURN or stopping():
            return progress
        if not queueing and time.monotonic() > rested + BREATH_AFTER:
            Event().wait(BREATH)
            rested = time.monotonic()


def enter(session: Session, dispatch_id: int, now: datetime, size: int = RANGE) -> Progress:
    """Enter a mail for each of the next `size` followers of a dispatch; with the last ones the sending begins."""
    wanted = _begun(session, dispatch_id)
    if wanted is None:
        return Progress.NONE
    following = select(Subscription.id).where(wanted.rest).order_by(Subscription.id).limit(size).subquery()
    last, count = session.execute(select(func.max(following.c.id), func.count()).select_from(following)).one()
    if not _take(session, wanted, last if count else wanted.entered_to):
        return Progress.NONE
    if count:
        _insert(session, wanted, last, now)
    if count == size:
        return Progress.SOME
    _send(session, dispatch_id, now)
    return Progress.ALL


def _begun(session: Session, dispatch_id: int) -> _List | None:
    """Return who is to get a dispatch that is being expanded; None where it is not.

    Before its first range, confirmations and imports that are being committed are waited for. Once is enough: one
    that begins after that is of a later moment than the publishing, so that it changes nothing in any range.
    """
    found = select(Dispatch.id, Release.newsroom_id, Dispatch.created_at, Dispatch.expanded_to).join(Release)
    its = (Dispatch.id == dispatch_id, Dispatch.state == DispatchState.EXPANDING)
    row = session.execute(found.where(*its)).one_or_none()
    if row is None:
        return None
    if row.expanded_to is None:
        database.barrier(session, newsroom_lock(row.newsroom_id))
    return _List(*row)


def _take(session: Session, wanted: _List, upto: int | None) -> bool:
    """Move the dispatch's cursor on; False where somebody else did, or it was paused or stopped meanwhile."""
    its = update(Dispatch).where(
        Dispatch.id == wanted.dispatch_id,
        Dispatch.state == DispatchState.EXPANDING,
        Dispatch.expanded_to.is_not_distinct_from(wanted.entered_to),
    )
    return touched(session, its.values(expanded_to=upto)) == 1


def _insert(session: Session, wanted: _List, upto: int, now: datetime) -> None:
    """Enter those up to a subscription: who left since, or is suppressed, as skipped."""
    at = literal(now, Delivery.due_at.type)
    suppressed = covers(Subscription.address_hash, Subscription.newsroom_id, at)
    may = and_(Subscription.state == SubscriptionState.CONFIRMED, ~suppressed)
    values: dict[str, ColumnElement[Any]] = {
        "public_id": database.random_id(),
        "kind": literal(DeliveryKind.RELEASE, Delivery.kind.type),
        "dispatch_id": literal(wanted.dispatch_id),
        "subscription_id": Subscription.id.expression,
        "state": case((may, literal(S.QUEUED, Delivery.state.type)), else_=literal(S.SKIPPED, Delivery.state.type)),
        "due_at": at,
        "created_at": at,
        "settled_at": case((may, None), else_=at),
        "held": literal(False),
        "dropped": literal(False),
        "attempts": literal(0),
        "uncertain_events": literal(0),
    }
    followers = select(*values.values()).where(wanted.rest, Subscription.id <= upto).order_by(Subscription.id)
    new = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    entering = new(Delivery).from_select(list(values), followers, include_defaults=False)
    session.execute(entering.on_conflict_do_nothing(index_elements=["subscription_id", "dispatch_id"]))


def _send(session: Session, dispatch_id: int, now: datetime) -> None:
    """Let the sending of a dispatch begin: all are entered."""
    entered = select(func.count()).where(Delivery.dispatch_id == dispatch_id).scalar_subquery()
    its = update(Dispatch).where(Dispatch.id == dispatch_id)
    touched(session, its.values(state=DispatchState.SENDING, started_at=now, recipients=entered))
    finish(session, dispatch_id, now)
