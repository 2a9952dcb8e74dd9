"""Folding: long after its end a mailing's rows become numbers, and what nobody asks for any more goes.

Small steps, so that nobody waits for them; any number of sweeps may take them at once.
"""

from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy import Delete, and_, delete, exists, func, select, update
from sqlalchemy.orm import Session

from service import settings
from service.models import Claim, Delivery, Dispatch
from service.settlement import among, count, touched
from service.states import DeliveryState, DispatchState

S = DeliveryState

STEP = 5_000
"""Rows in one transaction."""

SETTLED = and_(Delivery.state.in_((S.ACCEPTED, S.REFUSED, S.SKIPPED, S.UNCERTAIN)), Delivery.held.is_(False))


def fold(session: Session, now: datetime, step: int = STEP) -> int:
    """Count up to `step` rows of one mailing that ended long ago into its totals, and delete them; return how many."""
    dispatch_id = _over(session, now)
    if dispatch_id is None:
        return 0
    some = select(Delivery.id).where(Delivery.dispatch_id == dispatch_id, SETTLED).limit(step).with_for_update()
    gone = delete(Delivery).where(among(session, some)).returning(Delivery.state)
    counts = Counter(session.scalars(gone.execution_options(synchronize_session=False)))
    totals = {
        Dispatch.folded_accepted: Dispatch.folded_accepted + counts[S.ACCEPTED],
        Dispatch.folded_refused: Dispatch.folded_refused + counts[S.REFUSED],
        Dispatch.folded_skipped: Dispatch.folded_skipped + counts[S.SKIPPED],
        Dispatch.folded_uncertain: Dispatch.folded_uncertain + counts[S.UNCERTAIN],
        Dispatch.folded_at: func.coalesce(Dispatch.folded_at, now),
    }
    touched(session, update(Dispatch).where(Dispatch.id == dispatch_id).values(totals))
    return counts.total()


def _over(session: Session, now: datetime) -> int | None:
    """Lock and return a mailing that ended long ago and has rows; one that another sweep is folding is left to it."""
    folded = Dispatch.folded_accepted + Dispatch.folded_refused + Dispatch.folded_skipped + Dispatch.folded_uncertain
    ended = Dispatch.state.in_((DispatchState.FINISHED, DispatchState.CANCELLED))
    long_ago = and_(ended, Dispatch.finished_at <= _kept_from(now))
    has_rows = and_(Dispatch.recipients > folded, exists().where(Delivery.dispatch_id == Dispatch.id, SETTLED))
    its = select(Dispatch.id).where(long_ago, has_rows).order_by(Dispatch.id).limit(1)
    return session.scalar(its.with_for_update(skip_locked=True))


def forget_mails(session: Session, now: datetime, step: int = STEP) -> int:
    """Delete up to `step` confirmations, notices and tests that were settled long ago; return how many."""
    old = select(Delivery.id).where(Delivery.dispatch_id.is_(None), Delivery.settled_at <= _kept_from(now), SETTLED)
    old = old.order_by(Delivery.settled_at).limit(step).with_for_update(skip_locked=True)
    return _deleted(session, delete(Delivery).where(among(session, old)))


def forget_claims(session: Session, now: datetime, step: int = STEP) -> int:
    """Delete up to `step` claims that ended long ago, once no mail of theirs is left; return how many."""
    mailing = exists().where(Delivery.dispatch_id == Claim.dispatch_id)  # by an index; there is none by the claim
    alone = exists().where(Delivery.dispatch_id.is_(None), Delivery.claim_id == Claim.id)
    ended = (Claim.closed.is_(True), Claim.lease_until <= _kept_from(now))
    old = select(Claim.id).where(*ended, ~mailing, ~alone)
    old = old.order_by(Claim.lease_until).limit(step)
    return _deleted(session, delete(Claim).where(Claim.id.in_(old)))


def _deleted(session: Session, statement: Delete) -> int:
    return count(session.execute(statement.execution_options(synchronize_session=False)))


def _kept_from(now: datetime) -> datetime:
    """Return the moment from which on rows are kept."""
    return now - timedelta(days=settings.current().keep_deliveries)
