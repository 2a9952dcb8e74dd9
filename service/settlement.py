"""What becomes of a mail that was handed over: recorded, settled, decided; and the end of a dispatch.

Every change is an UPDATE that names the state it expects, so that doing it twice changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Select,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from service import settings
from service.address import mask
from service.models import DUE, Claim, Delivery, Dispatch
from service.smtp import Accepted, Outcome, Refused, Uncertain
from service.states import DeliveryKind, DeliveryState, DispatchState

S = DeliveryState


@dataclass(frozen=True)
class Mail:
    """One claimed delivery, as much of it as sending needs. `address` is None once the follower has left.

    A test goes to one of the staff: it has no subscription, and an inert leave token.
    """

    id: int
    public_id: str
    kind: DeliveryKind
    subscription_id: int | None
    attempts: int
    dropped: bool
    address: str | None
    leave_token: str
    language: str


def record(session: Session, claim_id: int, mail: Mail, outcome: Outcome, now: datetime) -> None:
    """Write down what became of a mail that was handed over.

    A late answer still counts after the claim was settled, unless somebody has claimed the row anew.
    """
    words = mask(outcome.words, mail.address or "")
    code = None if isinstance(outcome, Uncertain) else outcome.code
    mine = {"its_id": mail.id, "its_claim": claim_id}
    heard: dict[str, Any] = {"attempts": mail.attempts + 1, "reply": words, "reply_code": code, "dropped": False}
    if isinstance(outcome, Accepted):
        session.execute(_accept(), mine | heard | {"settled_at": now})
    else:
        fate = _fate(outcome, mail, now)
        counts = _mine().where(_news(outcome)).values(**heard, **fate)
        session.execute(counts.execution_options(synchronize_session=False), mine)


def _mine() -> Update:
    """A handed-over row that nobody has claimed since: settled or not, an answer to it is true."""
    open_still = Delivery.state.in_((S.CLAIMED, S.DEFERRED, S.UNCERTAIN))
    its = and_(Delivery.id == bindparam("its_id"), Delivery.claim_id == bindparam("its_claim"))
    return update(Delivery).where(its, Delivery.handed_over_at.is_not(None), open_still)


def _news(outcome: Refused | Uncertain) -> ColumnElement[bool]:
    """SQL: this outcome tells more than the row knows, and brings nothing back to a dispatch that may have finished."""
    if isinstance(outcome, Uncertain):
        return Delivery.state == S.CLAIMED
    return or_(Delivery.state.in_((S.CLAIMED, S.DEFERRED)), Delivery.held.is_(True))


@lru_cache
def _accept() -> Update:
    """The statement of an accepted mail, made once: it runs for each."""
    heard: dict[str, Any] = {
        name: bindparam(name) for name in ("attempts", "reply", "reply_code", "dropped", "settled_at")
    }
    return _mine().values(state=S.ACCEPTED, held=False, **heard).execution_options(synchronize_session=False)


def _fate(outcome: Refused | Uncertain, mail: Mail, now: datetime) -> dict[str, Any]:
    config = settings.current()
    again = mail.attempts < len(config.retry_after)
    later = now + timedelta(seconds=config.retry_after[min(mail.attempts, len(config.retry_after) - 1)])
    match outcome:
        case Refused(permanent=False) if again:
            return {"state": S.DEFERRED, "due_at": later, "held": False, "settled_at": None}
        case Refused():
            return {"state": _unless_uncertain(S.REFUSED), "held": False, "settled_at": now}
        case Uncertain():
            hold = config.uncertain == "hold" and mail.kind is DeliveryKind.RELEASE
            once_more = again and not hold
            return {
                "state": S.DEFERRED if once_more else S.UNCERTAIN,
                "due_at": later,
                "held": hold,
                "settled_at": None if once_more else now,
                "uncertain_events": Delivery.uncertain_events + 1,
            }


def _unless_uncertain(state: DeliveryState) -> ColumnElement[DeliveryState]:
    """SQL: a row that was ever uncertain and cannot go again stays uncertain for good."""
    uncertain = literal(S.UNCERTAIN, Delivery.state.type)
    return case((Delivery.uncertain_events > 0, uncertain), else_=literal(state, Delivery.state.type))


def let_go(claims: ColumnElement[bool]) -> Update:
    """The statement that puts back what these claims never handed over."""
    unsent = update(Delivery).where(claims, Delivery.state == S.CLAIMED, Delivery.handed_over_at.is_(None))
    return unsent.values(state=S.QUEUED)


def settle(session: Session, now: datetime) -> int:
    """Settle the claims whose lease is over: back to queued, or uncertain where handed over. Return how many."""
    over = update(Claim).where(Claim.closed.is_(False), Claim.lease_until < now)
    ids = list(session.scalars(over.values(closed=True).returning(Claim.id)))
    if not ids:
        return 0
    theirs = Delivery.claim_id.in_(ids)
    touched(session, let_go(theirs))
    config = settings.current()
    hold = and_(literal(config.uncertain == "hold"), Delivery.dispatch_id.is_not(None))
    resend = and_(~hold, Delivery.attempts < len(config.retry_after))
    doubtful = update(Delivery).where(theirs, Delivery.state == S.CLAIMED)
    touched(
        session,
        doubtful.values(
            state=case(
                (resend, literal(S.DEFERRED, Delivery.state.type)), else_=literal(S.UNCERTAIN, Delivery.state.type)
            ),
            settled_at=case((resend, None), else_=literal(now, Delivery.settled_at.type)),
            held=hold,
            due_at=now,
            attempts=Delivery.attempts + 1,
            uncertain_events=Delivery.uncertain_events + 1,
            reply="the worker died before the relay's answer was heard",
            reply_code=None,
        ),
    )
    return len(ids)


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
    return update(Delivery).values(state=_unless_uncertain(S.SKIPPED), settled_at=now)


def cancel(session: Session, dispatch_id: int, now: datetime) -> bool:
    """Stop a dispatch for good: what waits is skipped, what is in doubt stays so; False where it had ended."""
    running = Dispatch.state.not_in((DispatchState.FINISHED, DispatchState.CANCELLED))
    ended = update(Dispatch).where(Dispatch.id == dispatch_id, running)
    if touched(session, ended.values(state=DispatchState.CANCELLED, finished_at=now)) == 0:
        return False
    # Counted after the row is locked: who was waiting for a range to be entered counts that one too.
    entered = select(func.count()).where(Delivery.dispatch_id == dispatch_id).scalar_subquery()
    its = update(Dispatch).where(Dispatch.id == dispatch_id, Dispatch.recipients.is_(None))
    touched(session, its.values(recipients=entered))
    _nothing_more(session, Delivery.dispatch_id == dispatch_id, now)
    return True


def _nothing_more(session: Session, theirs: ColumnElement[bool], now: datetime) -> None:
    """Skip what waits of cancelled dispatches, and hold nothing for a decision any more.

    Rows that a worker is just claiming are left to hand_over, or to the next sweep: to wait for them would be a
    deadlock with a worker that records one mail and begins another.
    """
    waiting = select(Delivery.id).where(theirs, DUE).order_by(Delivery.id).with_for_update(skip_locked=True)
    touched(session, skip(now).where(among(session, waiting)))
    held = update(Delivery).where(theirs, Delivery.state == S.UNCERTAIN, Delivery.held.is_(True))
    touched(session, held.values(held=False))


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
    """Let a paused dispatch go on where it was; False where it was not paused. Ring afterwards (`bells.ring_again`).

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


def skip_cancelled(session: Session, now: datetime) -> None:
    """Skip what came back to a dispatch after it was cancelled: claims let go of, transient refusals."""
    cancelled = select(Dispatch.id).where(Dispatch.state == DispatchState.CANCELLED)
    _nothing_more(session, Delivery.dispatch_id.in_(cancelled), now)


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
