"""What is decided about mails in doubt, and a dispatch paused, resumed, cancelled or finished.

Every change is an UPDATE that names the state it expects, so that doing it twice changes nothing.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Select, Update, case, exists, func, literal, or_, select, update
from sqlalchemy.orm import Session

from service.models import DUE, IN_HAND, Claim, Delivery, Dispatch
from service.outcomes import unless_uncertain
from service.states import DeliveryState, DispatchState

S = DeliveryState

STEP = 20_000
"""Mails skipped in one transaction: well under a second, so that nobody waits for a long list to be stopped."""


def lock(session: Session, claim_id: int) -> None:
    """Lock a claim's row to the end of this transaction."""
    session.execute(select(Claim.id).where(Claim.id == claim_id).with_for_update())


def close(session: Session, claim_id: int, *still: ColumnElement[bool]) -> bool:
    """Close a claim; False where somebody did, or where something that must be true of it is not any more."""
    theirs = update(Claim).where(Claim.id == claim_id, Claim.closed.is_(False), *still)
    return touched(session, theirs.values(closed=True)) == 1


def let_go(claim_id: int) -> Update:
    """The statement that puts back what a claim holds and never began."""
    return update(Delivery).where(Delivery.claim_id == claim_id, IN_HAND).values(state=S.QUEUED)


def decide_held(session: Session, dispatch_id: int, now: datetime, *, resend: bool) -> int:
    """Decide on the uncertain mails that UNCERTAIN=hold keeps: send them again, or leave them uncertain."""
    state = select(Dispatch.state).where(Dispatch.id == dispatch_id).with_for_update()
    if session.scalar(state) is DispatchState.CANCELLED:  # locked before its rows, as `cancel` does
        return 0
    held = update(Delivery).where(Delivery.dispatch_id == dispatch_id, Delivery.held.is_(True))
    again = {"state": S.DEFERRED, "due_at": now, "settled_at": None} if resend else {}
    decided = touched(session, held.values(held=False, **again))
    finish(session, dispatch_id, now)
    return decided


def skip(now: datetime) -> Update:
    """The statement that skips rows; say which by .where()."""
    return update(Delivery).values(state=unless_uncertain(S.SKIPPED), settled_at=now)


def cancel(session: Session, dispatch_id: int, now: datetime, step: int = STEP) -> bool:
    """Stop a dispatch for good; False where it had ended. What is in doubt stays so.

    What waits is skipped: `step` mails at once, the rest by `skip_cancelled`.
    """
    running = Dispatch.state.not_in((DispatchState.FINISHED, DispatchState.CANCELLED))
    ended = update(Dispatch).where(Dispatch.id == dispatch_id, running)
    if touched(session, ended.values(state=DispatchState.CANCELLED, finished_at=now)) == 0:
        return False
    # Counted after the row is locked: who was waiting for a range to be entered counts that one too.
    entered = select(func.count()).where(Delivery.dispatch_id == dispatch_id).scalar_subquery()
    its = update(Dispatch).where(Dispatch.id == dispatch_id, Dispatch.recipients.is_(None))
    touched(session, its.values(recipients=entered))
    _nothing_more(session, Delivery.dispatch_id == dispatch_id, now, step)
    return True


def _nothing_more(session: Session, theirs: ColumnElement[bool], now: datetime, step: int) -> bool:
    """Skip what waits of cancelled dispatches, and hold nothing for a decision any more; False where much is left.

    Rows that a worker is just claiming are left to the end of its claim, or to the next sweep; nobody waits for them.
    """
    waiting = select(Delivery.id).where(theirs, DUE).limit(step).with_for_update(skip_locked=True)
    skipped = touched(session, skip(now).where(among(session, waiting)))
    held = update(Delivery).where(theirs, Delivery.state == S.UNCERTAIN, Delivery.held.is_(True))
    touched(session, held.values(held=False))
    return skipped < step


def among(session: Session, locked: Select[int]) -> ColumnElement[bool]:
    """SQL: the row is one of those that this query finds and locks, in whatever state that query names.

    With IN, PostgreSQL runs the query anew for every row that is due, once its statistics are of an hour in which
    nothing was: a claim that takes 10 ms takes a minute. An array is made once, and its rows are found by their ids.
    """
    if session.get_bind().dialect.name == "postgresql":
        return Delivery.id == func.any(func.array(locked.scalar_subquery()))
    return Delivery.id.in_(locked)


def pause(session: Session, dispatch_id: int) -> bool:
    """Hold a dispatch: no further mail is begun. False where it was not under way."""
    going = Dispatch.state.in_((DispatchState.EXPANDING, DispatchState.SENDING))
    held = update(Dispatch).where(Dispatch.id == dispatch_id, going)
    return touched(session, held.values(state=DispatchState.PAUSED)) == 1


def resume(session: Session, dispatch_id: int, now: datetime) -> bool:
    """Let a paused dispatch go on where it was; False where it was not paused. Ring afterwards (`bells.ring_if_lost`).

    A bell that is still on its way stays counted: a second one would go round for as long as the first.
    """
    on = case(
        (Dispatch.recipients.is_(None), literal(DispatchState.EXPANDING, Dispatch.state.type)),
        else_=literal(DispatchState.SENDING, Dispatch.state.type),
    )
    paused = update(Dispatch).where(Dispatch.id == dispatch_id, Dispatch.state == DispatchState.PAUSED)
    if touched(session, paused.values(state=on)) == 0:
        return False
    finish(session, dispatch_id, now)
    return True


def skip_cancelled(session: Session, now: datetime, step: int = STEP) -> bool:
    """Skip what waits of cancelled dispatches: the rest of a long one, what a claim let go of; False: do it again."""
    cancelled = select(Dispatch.id).where(Dispatch.state == DispatchState.CANCELLED)
    return _nothing_more(session, Delivery.dispatch_id.in_(cancelled), now, step)


def finish(session: Session, dispatch_id: int, now: datetime) -> bool:
    """Call a dispatch finished if nothing is pending and nothing held; True where this call did it."""
    pending = exists().where(
        Delivery.dispatch_id == dispatch_id,
        or_(Delivery.state.in_((S.QUEUED, S.CLAIMED, S.DEFERRED)), Delivery.held.is_(True)),
    )
    done = update(Dispatch).where(Dispatch.id == dispatch_id, Dispatch.state == DispatchState.SENDING, ~pending)
    return touched(session, done.values(state=DispatchState.FINISHED, finished_at=now)) == 1


def touched(session: Session, statement: Update) -> int:
    """Execute an UPDATE and return how many rows it touched."""
    return count(session.execute(statement.execution_options(synchronize_session=False)))


def count(result: Any) -> int:
    """Return how many rows a statement touched."""
    assert isinstance(result, CursorResult)  # noqa: S101 - what an INSERT or UPDATE gives
    return result.rowcount
