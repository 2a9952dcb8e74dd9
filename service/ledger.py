"""The ledger of mails: enter, claim, hand over. With expanding.py, settlement.py and folding.py the only
writer of deliveries.

Every change is an UPDATE that names the state it expects, so that doing it twice changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy import ColumnElement, Update, and_, bindparam, exists, func, insert, literal, or_, select, update
from sqlalchemy.orm import Session

from service import settings
from service.database import random_id
from service.models import DUE, Claim, Delivery, Dispatch, Membership, Release, Staff, Subscription, Version
from service.settlement import Mail, among, count, let_go, skip, touched
from service.states import DeliveryKind, DeliveryState, DispatchState, SubscriptionState
from service.suppressions import covers
from service.tokens import TEST_LEAVE_TOKEN

S = DeliveryState

TURN = timedelta(seconds=5)
"""A round of sending: then other dispatches get their turn."""


@dataclass(frozen=True)
class Batch:
    """What one claim holds."""

    claim_id: int
    mails: list[Mail]


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


def claim(session: Session, dispatch_id: int | None, worker: str, now: datetime, size: int) -> Batch | None:
    """Take hold of up to `size` due mails of a dispatch (None: confirmations, notices, tests); None: nothing due."""
    held = Claim(
        queue="confirmations" if dispatch_id is None else "dispatches",
        dispatch_id=dispatch_id,
        worker=worker,
        claimed_at=now,
        lease_until=now + _lease(),
    )
    session.add(held)
    session.flush()
    due = select(Delivery.id).where(_lane(dispatch_id), DUE, Delivery.due_at <= now)
    due = due.order_by(Delivery.due_at, Delivery.id).limit(size).with_for_update(skip_locked=True)
    taken = update(Delivery).where(among(session, due))
    if touched(session, taken.values(state=S.CLAIMED, claim_id=held.id, handed_over_at=None)) == 0:
        session.delete(held)
        return None
    return Batch(held.id, _mails(session, held.id))


def _lane(dispatch_id: int | None) -> ColumnElement[bool]:
    if dispatch_id is None:
        return Delivery.dispatch_id.is_(None)
    sending = exists().where(Dispatch.id == dispatch_id, Dispatch.state == DispatchState.SENDING)
    return and_(Delivery.dispatch_id == dispatch_id, sending)


def _mails(session: Session, claim_id: int) -> list[Mail]:
    rows = session.execute(
        select(
            Delivery.id,
            Delivery.public_id,
            Delivery.kind,
            Delivery.subscription_id,
            Delivery.attempts,
            Delivery.dropped,
            func.coalesce(Subscription.address, Staff.address),
            func.coalesce(Subscription.leave_token, literal(TEST_LEAVE_TOKEN)),
            func.coalesce(Subscription.language, literal("")),
        )
        .outerjoin(Subscription, Subscription.id == Delivery.subscription_id)
        .outerjoin(Staff, Staff.id == Delivery.staff_id)
        .where(Delivery.claim_id == claim_id, Delivery.state == S.CLAIMED)
        .order_by(Delivery.dropped, Delivery.due_at, Delivery.id)  # at whom the relay hung up last time goes last
    )
    return [Mail(*row) for row in rows]


def renew(session: Session, claim_id: int, now: datetime) -> bool:
    """Prolong a claim's lease; False where it has been settled by somebody else."""
    alive = update(Claim).where(Claim.id == claim_id, Claim.closed.is_(False))
    return touched(session, alive.values(lease_until=now + _lease())) == 1


def hand_over(session: Session, claim_id: int, mail: Mail, now: datetime) -> bool:
    """Mark a mail as about to be sent, if it still may be: claim alive, follower there, dispatch sending.

    Commit it before the relay may see the mail. Where it may not go, the row is skipped or goes back.
    """
    mine = {"its_id": mail.id, "its_claim": claim_id, "at": now}
    if count(session.execute(_begin(mail.kind), mine)) == 1:
        return True
    mine_still = (Delivery.id == mail.id, Delivery.claim_id == claim_id, Delivery.state == S.CLAIMED)
    stopped = exists().where(Dispatch.id == Delivery.dispatch_id, Dispatch.state == DispatchState.CANCELLED)
    unwelcome = or_(~_welcome(mail.kind, literal(now, Delivery.due_at.type)), stopped)
    touched(session, skip(now).where(*mine_still, unwelcome))
    touched(session, update(Delivery).where(*mine_still).values(state=S.QUEUED, handed_over_at=None))
    return False


@lru_cache
def _begin(kind: DeliveryKind) -> Update:
    """The statement of hand_over, made once: it runs for each mail."""
    begun = update(Delivery).where(_may_go(kind)).values(handed_over_at=bindparam("at", type_=Delivery.due_at.type))
    return begun.execution_options(synchronize_session=False)


def still_may(session: Session, claim_id: int, mail: Mail, now: datetime) -> bool:
    """Ask again what hand_over asked, for a relay so slow that the answer may be out of date."""
    mine = {"its_id": mail.id, "its_claim": claim_id, "at": now}
    return session.scalar(select(Delivery.id).where(_may_go(mail.kind)), mine) is not None


def _may_go(kind: DeliveryKind) -> ColumnElement[bool]:
    """SQL: the row is held by this claim, the claim is alive, the follower there, the dispatch sending."""
    now = bindparam("at", type_=Delivery.due_at.type)
    claim_id = bindparam("its_claim", type_=Delivery.claim_id.type)
    mine = and_(Delivery.id == bindparam("its_id"), Delivery.claim_id == claim_id, Delivery.state == S.CLAIMED)
    alive = exists().where(Claim.id == claim_id, Claim.closed.is_(False), Claim.lease_until > now)
    return and_(mine, alive, _welcome(kind, now), _sending())


def _welcome(kind: DeliveryKind, now: ColumnElement[datetime]) -> ColumnElement[bool]:
    """SQL: the subscription is in the state that this kind of mail needs; a test's reader still is of the staff."""
    if kind is DeliveryKind.TEST:
        theirs = and_(Membership.staff_id == Delivery.staff_id, Membership.newsroom_id == Release.newsroom_id)
        its = and_(Version.id == Delivery.version_id, Release.id == Version.release_id)
        return exists().where(its, theirs)
    if kind is DeliveryKind.CONFIRMATION:
        wanted = and_(Subscription.state == SubscriptionState.PENDING, Subscription.expires_at > now)
    else:
        wanted = Subscription.state == SubscriptionState.CONFIRMED
    if kind is DeliveryKind.RELEASE:
        wanted = and_(wanted, ~covers(Subscription.address_hash, Subscription.newsroom_id, now))
    return exists().where(Subscription.id == Delivery.subscription_id, wanted)


def _sending() -> ColumnElement[bool]:
    going = exists().where(Dispatch.id == Delivery.dispatch_id, Dispatch.state == DispatchState.SENDING)
    return or_(Delivery.dispatch_id.is_(None), going)


def take_back(session: Session, claim_id: int, mail: Mail, due_at: datetime, *, dropped: str = "") -> None:
    """Put a mail back of which the relay has heard nothing that counts: no attempt is burnt.

    `dropped`: the words of a connection that was lost with this recipient named, kept for the next time.
    """
    mine = update(Delivery).where(Delivery.id == mail.id, Delivery.claim_id == claim_id, Delivery.state == S.CLAIMED)
    kept = {"reply": dropped, "reply_code": None, "dropped": True} if dropped else {}
    touched(session, mine.values(state=S.QUEUED, handed_over_at=None, due_at=due_at, **kept))


def close(session: Session, claim_id: int) -> None:
    """Let go of a claim: what it never handed over is due again. One in doubt keeps it open, until it is settled."""
    touched(session, let_go(Delivery.claim_id == claim_id))
    doubtful = exists().where(Delivery.claim_id == claim_id, Delivery.state == S.CLAIMED)
    touched(session, update(Claim).where(Claim.id == claim_id, Claim.closed.is_(False), ~doubtful).values(closed=True))


def state_of(session: Session, dispatch_id: int) -> DispatchState:
    """Return a dispatch's state now."""
    return session.scalars(select(Dispatch.state).where(Dispatch.id == dispatch_id)).one()


def may_ring(session: Session, dispatch_id: int, now: datetime) -> bool:
    """Take the turn to ring for a dispatch: it has no bell, or one so old that it must be lost.

    A bell waits for a turn of each dispatch before it, and a worker that died held on for a lease.
    """
    under_way = Dispatch.state.in_((DispatchState.EXPANDING, DispatchState.SENDING))
    going = select(func.count()).select_from(Dispatch).where(under_way)
    patience = _lease() + TURN * (session.scalar(going) or 0)
    lost = or_(Dispatch.rung_at.is_(None), Dispatch.rung_at < now - patience)
    return touched(session, update(Dispatch).where(Dispatch.id == dispatch_id, lost).values(rung_at=now)) == 1


def no_bell(session: Session, dispatch_id: int) -> None:
    """Note that a dispatch has no bell on its way, so that it may be rung for at once."""
    touched(session, update(Dispatch).where(Dispatch.id == dispatch_id).values(rung_at=None))


def skip_subscription(session: Session, subscription_id: int, now: datetime) -> None:
    """Skip whatever still waits for a follower who has left; what is claimed is skipped before it is handed over."""
    waiting = Delivery.state.in_((S.QUEUED, S.DEFERRED))
    touched(session, skip(now).where(Delivery.subscription_id == subscription_id, waiting))


def _lease() -> timedelta:
    return timedelta(seconds=settings.current().lease)
