"""The ledger of mails: enter, claim, look again, let go.

With expanding.py, outcomes.py, settlement.py and folding.py the only writer of deliveries.

Every change is an UPDATE that names the state it expects, so that doing it twice changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import randbits
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    exists,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.orm import Session

from service import settings, settlement
from service.database import random_id
from service.models import (
    DUE,
    Claim,
    Delivery,
    Dispatch,
    Membership,
    Release,
    Staff,
    Subscription,
    Suppression,
    Version,
)
from service.outcomes import Mail
from service.settlement import among, let_go, skip, touched
from service.states import DeliveryKind, DeliveryState, DispatchState, SubscriptionState
from service.suppressions import covers
from service.tokens import TEST_LEAVE_TOKEN

S = DeliveryState

TURN = timedelta(seconds=5)
"""A round of sending, at least: then other dispatches that wait get their turn."""

HELD = text("deliveries.state = 'claimed'")
"""What a claim holds, written out so that the index of it is used; other tables have a state too."""

LATE = timedelta(seconds=60)
"""Longer than a transaction may last: who left before a claim, by the clock, is seen by it or by a later look."""


@dataclass(frozen=True)
class Batch:
    """What one claim holds, in the order of sending: only the first that have no outcome yet may be on their way."""

    claim_id: int
    mails: list[Mail]
    claimed_at: datetime


@dataclass(frozen=True)
class Look:
    """How things are in the middle of a claim.

    `alive`: it is ours still; `unwelcome`: mails that may not go; `others`: another dispatch waits for a worker.
    """

    alive: bool
    sending: bool
    unwelcome: set[int]
    others: bool


def enter(session: Session, kind: DeliveryKind, subscription_id: int, now: datetime) -> None:
    """Enter one mail outside any dispatch, due at once."""
    session.execute(
        insert(Delivery).values(
            public_id=random_id(),
            kind=kind,
            subscription_id=subscription_id,
            state=S.QUEUED,
            due_at=now,
            created_at=now,
        )
    )


def enter_test(session: Session, staff_id: int, version_id: int, now: datetime) -> bool:
    """Enter a test mail of a version to one of the staff.

    False where one still waits, which will be as the version is then, or where the version has just been deleted.
    """
    waiting = (Delivery.staff_id == staff_id, Delivery.version_id == version_id, Delivery.state == S.QUEUED)
    there = select(Version.id).where(Version.id == version_id).with_for_update(read=True, key_share=True)
    if session.scalar(there) is None or session.scalar(select(Delivery.id).where(*waiting).limit(1)) is not None:
        return False
    session.execute(
        insert(Delivery).values(
            public_id=random_id(),
            kind=DeliveryKind.TEST,
            staff_id=staff_id,
            version_id=version_id,
            state=S.QUEUED,
            due_at=now,
            created_at=now,
        )
    )
    return True


def tests_of(session: Session, staff_id: int, version_id: int, limit: int = 3) -> list[Delivery]:
    """Return somebody's latest test mails of a version, newest first."""
    its = (Delivery.staff_id == staff_id, Delivery.version_id == version_id)
    return list(session.scalars(select(Delivery).where(*its).order_by(Delivery.id.desc()).limit(limit)))


def claim(
    session: Session, dispatch_id: int | None, worker: str, now: datetime, size: int, window: int
) -> Batch | None:
    """Take hold of up to `size` due mails of a dispatch (None: confirmations, notices, tests); None: nothing due.

    Those that may not go any more are skipped. `window`: see Claim. A number in sequence would be given again after a
    rollback, and a dead process's journal may name it.
    """
    held = Claim(
        id=randbits(62),
        queue="confirmations" if dispatch_id is None else "dispatches",
        dispatch_id=dispatch_id,
        worker=worker,
        claimed_at=now,
        lease_until=now + lease(),
        window=window,
    )
    session.add(held)
    session.flush()
    if not _take(session, held.id, _lane(dispatch_id), now, size):
        session.delete(held)
        return None
    return Batch(held.id, _welcome_ones(session, held.id, now), now)


def more(session: Session, batch: Batch, dispatch_id: int | None, after: int, now: datetime, size: int) -> list[Mail]:
    """Take hold of up to `size` further mails for a claim, those behind the delivery `after` in the order of sending.

    The claim is locked behind them: who settles it waits for that, and lets go of these as well. And before they are
    read: a look that begins later waits too, and sees these as well.
    """
    due_at = session.scalars(select(Delivery.due_at).where(Delivery.id == after)).one()
    last = tuple_(literal(due_at, Delivery.due_at.type), literal(after, Delivery.id.type))
    behind = tuple_(Delivery.due_at, Delivery.id) > last
    anew = Delivery.claim_id.is_distinct_from(batch.claim_id)  # what this claim put off is for another
    if not _take(session, batch.claim_id, and_(_lane(dispatch_id), behind, anew), now, size):
        return []
    if not _prolong(session, batch, now):
        touched(session, let_go(batch.claim_id))
        return []
    return _welcome_ones(session, batch.claim_id, now, behind)


def _prolong(session: Session, batch: Batch, now: datetime) -> bool:
    """Prolong a claim's lease; False where it is ours no more."""
    ours = update(Claim).where(Claim.id == batch.claim_id, Claim.closed.is_(False))
    return touched(session, ours.values(lease_until=now + lease())) == 1


def _take(session: Session, claim_id: int, which: ColumnElement[bool], now: datetime, size: int) -> bool:
    due = select(Delivery.id).where(which, DUE, Delivery.due_at <= now)
    due = due.order_by(Delivery.due_at, Delivery.id).limit(size).with_for_update(skip_locked=True)
    taken = update(Delivery).where(among(session, due))
    return touched(session, taken.values(state=S.CLAIMED, claim_id=claim_id)) > 0


def _welcome_ones(session: Session, claim_id: int, now: datetime, *which: ColumnElement[bool]) -> list[Mail]:
    """Return the mails of a claim that may go; skip the others."""
    mails = mails_of(session, claim_id, now, *which)
    skip_unwelcome(session, claim_id, {mail.id for mail in mails if not mail.welcome}, now)
    return [mail for mail in mails if mail.welcome]


def _lane(dispatch_id: int | None) -> ColumnElement[bool]:
    if dispatch_id is None:
        return Delivery.dispatch_id.is_(None)
    sending = exists().where(Dispatch.id == dispatch_id, Dispatch.state == DispatchState.SENDING)
    return and_(Delivery.dispatch_id == dispatch_id, sending)


def mails_of(session: Session, claim_id: int, now: datetime, *which: ColumnElement[bool]) -> list[Mail]:
    """Return what a claim still holds, in the order of sending: at whom the relay hung up last time goes last."""
    rows = session.connection().execute(
        _held(
            claim_id,
            Delivery.id,
            Delivery.public_id,
            Delivery.kind,
            Delivery.subscription_id,
            Delivery.attempts,
            Delivery.dropped,
            func.coalesce(Subscription.address, Staff.address),
            func.coalesce(Subscription.leave_token, literal(TEST_LEAVE_TOKEN)),
            func.coalesce(Subscription.language, literal("")),
            _welcome(now),
        )
        .where(*which)
        .order_by(Delivery.dropped, Delivery.due_at, Delivery.id)
    )
    return [Mail._make(row) for row in rows]


def _held(claim_id: int, *columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .outerjoin(Subscription, Subscription.id == Delivery.subscription_id)
        .outerjoin(Staff, Staff.id == Delivery.staff_id)
        .where(Delivery.claim_id == claim_id, HELD)
    )


def _welcome(now: datetime) -> ColumnElement[bool]:
    """SQL: the subscription is in the state that this kind of mail needs; a test's reader still is of the staff."""
    at = literal(now, Delivery.due_at.type)
    confirmed = Subscription.state == SubscriptionState.CONFIRMED
    pending = and_(Subscription.state == SubscriptionState.PENDING, Subscription.expires_at > at)
    theirs = and_(Membership.staff_id == Delivery.staff_id, Membership.newsroom_id == Release.newsroom_id)
    reader = exists().where(Version.id == Delivery.version_id, Release.id == Version.release_id, theirs)
    suppressed = covers(Subscription.address_hash, Subscription.newsroom_id, at)
    kinds = {
        DeliveryKind.RELEASE: and_(confirmed, ~suppressed),
        DeliveryKind.NOTICE: confirmed,
        DeliveryKind.CONFIRMATION: pending,
        DeliveryKind.TEST: reader,
    }
    return case(*((Delivery.kind == kind, may) for kind, may in kinds.items()), else_=false())


def look(session: Session, batch: Batch, dispatch_id: int | None, now: datetime) -> Look:
    """Prolong a claim's lease and see what has changed for its mails."""
    ours = _prolong(session, batch, now)
    changed = true() if dispatch_id is None else Subscription.id.in_(_changed_since(batch.claimed_at - LATE))
    unwelcome = _held(batch.claim_id, Delivery.id).where(changed, ~_welcome(now))
    sending = dispatch_id is None or state_of(session, dispatch_id) is DispatchState.SENDING
    others = dispatch_id is None or _others_wait(session, dispatch_id)  # sweeps wait behind confirmations
    return Look(ours, sending, set(session.scalars(unwelcome)) if ours else set(), others)


def _others_wait(session: Session, dispatch_id: int) -> bool:
    """Tell whether another dispatch is to be expanded, or its bell waits to be heard."""
    rung = and_(Dispatch.state == DispatchState.SENDING, Dispatch.rung_at.is_not(None))
    waiting = exists().where(Dispatch.id != dispatch_id, or_(Dispatch.state == DispatchState.EXPANDING, rung))
    return bool(session.scalar(select(waiting)))


def _changed_since(moment: datetime) -> Select[int]:
    """SQL: the few subscriptions that ended lately, or whose address was suppressed; a claim's others are as before."""
    ended = select(Subscription.id).where(Subscription.ended_at > moment)
    theirs = Subscription.address_hash == Suppression.address_hash
    suppressed = select(Subscription.id).join(Suppression, theirs).where(Suppression.created_at > moment)
    return select(union_all(ended, suppressed).subquery().c.id)


def skip_unwelcome(session: Session, claim_id: int, ids: set[int], now: datetime) -> None:
    """Skip mails of a claim that may not go any more and have not been begun."""
    if ids:
        theirs = (Delivery.id.in_(ids), Delivery.claim_id == claim_id, Delivery.state == S.CLAIMED)
        touched(session, skip(now).where(*theirs))


def close(session: Session, claim_id: int) -> None:
    """Let go of a claim: what has no outcome was never begun, and is due again."""
    if settlement.close(session, claim_id):
        touched(session, let_go(claim_id))


def state_of(session: Session, dispatch_id: int) -> DispatchState:
    """Return a dispatch's state now."""
    return session.scalars(select(Dispatch.state).where(Dispatch.id == dispatch_id)).one()


def skip_subscription(session: Session, subscription_id: int, now: datetime) -> None:
    """Skip whatever still waits for a follower who has left; who has claimed a mail sees it at the next look."""
    waiting = Delivery.state.in_((S.QUEUED, S.DEFERRED))
    touched(session, skip(now).where(Delivery.subscription_id == subscription_id, waiting))


def lease() -> timedelta:
    """Return how long a claim is good for."""
    return timedelta(seconds=settings.current().lease)
