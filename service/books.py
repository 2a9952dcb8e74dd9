"""The books: what the rows of a dispatch add up to, and what is due."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, exists, func, select
from sqlalchemy.orm import Session, joinedload

from service import relay, settings
from service.database import now
from service.models import DUE, Audit, Claim, Delivery, Dispatch, Release, Subscription, Version
from service.states import DeliveryState, DispatchState, SubscriptionState

S = DeliveryState
PENDING = (S.QUEUED, S.CLAIMED, S.DEFERRED)


@dataclass(frozen=True)
class Books:
    """A dispatch's counts. Always recipients = accepted + refused + skipped + uncertain + pending.

    `recipients` is None until the dispatch is expanded, and the others 0; `deferred` of the pending wait for a later
    try, the earliest at `next_due`; `held` of the uncertain wait for a decision.
    """

    dispatch: Dispatch
    recipients: int | None
    accepted: int
    refused: int
    skipped: int
    uncertain: int
    pending: int
    deferred: int
    held: int
    next_due: datetime | None
    read_at: datetime

    @property
    def speed(self) -> float:
        """Mails accepted a second, on average since the mailing began; 0 until it has."""
        begun = self.dispatch.started_at
        seconds = ((self.dispatch.finished_at or self.read_at) - begun).total_seconds() if begun else 0
        return self.accepted / max(seconds, 1) if begun else 0

    @property
    def balanced(self) -> bool:
        """Tell whether the rows add up to what was entered."""
        settled = self.accepted + self.refused + self.skipped + self.uncertain
        return (self.recipients or 0) == settled + self.pending


def dispatch(session: Session, dispatch_id: int, newsroom_id: int | None = None) -> Dispatch | None:
    """Return a dispatch (of a newsroom, where one is given) with its release, or None, without counting anything."""
    found = session.get(
        Dispatch,
        dispatch_id,
        options=[joinedload(Dispatch.release).joinedload(Release.newsroom)],
        populate_existing=True,
    )
    return found if found and newsroom_id in (None, found.release.newsroom_id) else None


def of(session: Session, dispatch_id: int, newsroom_id: int | None = None) -> Books | None:
    """Return the books of a dispatch (of a newsroom, where one is given), or None where there is none."""
    its = dispatch(session, dispatch_id, newsroom_id)
    if its is None:
        return None
    rows = Delivery.dispatch_id == dispatch_id
    grouped = select(Delivery.state, func.count()).where(rows).group_by(Delivery.state)  # an index alone answers it
    by_state: dict[DeliveryState, int] = {}
    if its.recipients is not None:
        by_state = {state: number for state, number in session.execute(grouped)}  # noqa: C416 - rows, not pairs
    held = select(func.count()).where(rows, Delivery.state == S.UNCERTAIN, Delivery.held.is_(True))
    next_due = select(func.min(Delivery.due_at)).where(rows, Delivery.state == S.DEFERRED)
    return Books(
        dispatch=its,
        recipients=its.recipients,
        accepted=its.folded_accepted + by_state.get(S.ACCEPTED, 0),
        refused=its.folded_refused + by_state.get(S.REFUSED, 0),
        skipped=its.folded_skipped + by_state.get(S.SKIPPED, 0),
        uncertain=its.folded_uncertain + by_state.get(S.UNCERTAIN, 0),
        pending=sum(by_state.get(state, 0) for state in PENDING),
        deferred=by_state.get(S.DEFERRED, 0),
        held=(session.scalar(held) or 0) if S.UNCERTAIN in by_state else 0,
        next_due=session.scalar(next_due) if S.DEFERRED in by_state else None,
        read_at=now(session),
    )


def told(found: Books) -> dict[str, Any]:
    """Return the books as commands and the API tell them."""
    mailing, release = found.dispatch, found.dispatch.release
    return {
        "id": mailing.id,
        "release": f"{release.newsroom.slug}/{release.slug}",
        "version": mailing.version,
        "state": mailing.state.value,
        "recipients": found.recipients,
        "accepted": found.accepted,
        "refused": found.refused,
        "skipped": found.skipped,
        "uncertain": found.uncertain,
        "pending": found.pending,
        "started_at": mailing.started_at,
        "finished_at": mailing.finished_at,
        "deferred": found.deferred,
        "held": found.held,
        "next_due": found.next_due,
    }


def latest(session: Session, limit: int = 50) -> list[Books]:
    """Return the books of the latest dispatches, newest first."""
    ids = session.scalars(select(Dispatch.id).order_by(Dispatch.id.desc()).limit(limit))
    return [found for found in (of(session, number) for number in ids) if found is not None]


def dispatches_of(session: Session, release_ids: list[int]) -> dict[int, int]:
    """Return the number of the latest mailing of each release that has one."""
    latest = select(Dispatch.release_id, func.max(Dispatch.id)).where(Dispatch.release_id.in_(release_ids))
    return {release: number for release, number in session.execute(latest.group_by(Dispatch.release_id))}  # noqa: C416


@dataclass(frozen=True)
class Line:
    """A mailing in one line: its number, its state, how many were entered (None: not yet) and what became of them."""

    dispatch: int
    state: DispatchState
    recipients: int | None
    accepted: int
    refused: int
    pending: int


def of_releases(session: Session, release_ids: list[int]) -> dict[int, Line]:
    """Return the latest mailing of each release that has one, in one line."""
    wanted = select(Dispatch).where(Dispatch.release_id.in_(release_ids)).order_by(Dispatch.id)
    latest = {one.release_id: one for one in session.scalars(wanted)}
    counts = _counts(session, list(latest.values()))
    return {release: _line(its, counts.get(its.id, {})) for release, its in latest.items()}


def _counts(session: Session, dispatches: list[Dispatch]) -> dict[int, dict[DeliveryState, int]]:
    """Count rows by dispatch and state; of finished ones all but those accepted, which are the many."""
    few = [state for state in S if state is not S.ACCEPTED]
    finished = [one.id for one in dispatches if one.state is DispatchState.FINISHED]
    others = [one.id for one in dispatches if one.state is not DispatchState.FINISHED]
    found: dict[int, dict[DeliveryState, int]] = {}
    for ids, states in ((finished, few), (others, list(S))):
        its = (Delivery.dispatch_id.in_(ids), Delivery.state.in_(states))
        grouped = select(Delivery.dispatch_id, Delivery.state, func.count()).where(*its)
        for number, state, rows in session.execute(grouped.group_by(Delivery.dispatch_id, Delivery.state)):
            found.setdefault(number or 0, {})[state] = rows
    return found


def _line(its: Dispatch, rows: dict[DeliveryState, int]) -> Line:
    pending = sum(rows.get(state, 0) for state in PENDING)
    refused = its.folded_refused + rows.get(S.REFUSED, 0)
    if its.state is not DispatchState.FINISHED:
        accepted = its.folded_accepted + rows.get(S.ACCEPTED, 0)
    else:  # the books balance
        folded = its.folded_refused + its.folded_skipped + its.folded_uncertain
        accepted = (its.recipients or 0) - folded - sum(rows.values())
    return Line(its.id, its.state, its.recipients, accepted, refused, pending)


@dataclass(frozen=True)
class Unreached:
    """A mail that was not accepted: whose (None: has left since), what became of it, and the relay's words."""

    address: str | None
    state: DeliveryState
    held: bool
    attempts: int
    due_at: datetime
    code: int | None
    words: str


def headline(session: Session, dispatch_id: int) -> str:
    """Return the headline that a dispatch mails."""
    its = and_(Version.release_id == Dispatch.release_id, Version.number == Dispatch.version)
    return session.scalars(select(Version.headline).join(Dispatch, its).where(Dispatch.id == dispatch_id)).first() or ""


def unreached(
    session: Session, dispatch_id: int, states: list[DeliveryState], limit: int, after: int
) -> list[Unreached]:
    """Return a page of a dispatch's mails in these states, refused ones first, as they were entered."""
    rows = session.execute(
        select(
            Subscription.address,
            Delivery.state,
            Delivery.held,
            Delivery.attempts,
            Delivery.due_at,
            Delivery.reply_code,
            func.coalesce(Delivery.reply, ""),
        )
        .join(Subscription, Subscription.id == Delivery.subscription_id)
        .where(Delivery.dispatch_id == dispatch_id, Delivery.state.in_(states))
        .order_by(Delivery.state != S.REFUSED, Delivery.id)
        .limit(limit)
        .offset(after)
    )
    return [Unreached(*row) for row in rows]


def left_before(session: Session, dispatch_id: int) -> int:
    """Return how many of the skipped had left before it was their turn; the others were not to be mailed any more."""
    left = (Subscription.state == SubscriptionState.ENDED, Subscription.ended_at <= Delivery.settled_at)
    its = (Delivery.dispatch_id == dispatch_id, Delivery.state == S.SKIPPED)
    found = select(func.count()).select_from(Delivery).join(Subscription, Subscription.id == Delivery.subscription_id)
    return session.scalar(found.where(*its, *left)) or 0


def last_control(session: Session, dispatch: Dispatch) -> Audit | None:
    """Return who last paused a dispatch or let it go on, and when."""
    acts = (Audit.newsroom_id == dispatch.release.newsroom_id, Audit.act.in_(("dispatch.pause", "dispatch.resume")))
    its = Audit.details["dispatch"].as_integer() == dispatch.id
    return session.scalar(select(Audit).where(*acts, its).order_by(Audit.id.desc()).limit(1))


def idle_since(session: Session, dispatch: Dispatch) -> datetime | None:
    """Return since when mail of a dispatch is due (or it waits to be expanded) and nobody has it in hand, or None."""
    at = now(session)
    if dispatch.state is DispatchState.EXPANDING:
        its = (Delivery.dispatch_id == dispatch.id, Delivery.subscription_id == dispatch.expanded_to)
        latest_range = session.scalar(select(Delivery.created_at).where(*its))
        return _since(session, dispatch, dispatch.created_at, latest_range)
    if dispatch.state is not DispatchState.SENDING:
        return None
    held = select(Claim.id).where(Claim.dispatch_id == dispatch.id, Claim.closed.is_(False), Claim.lease_until > at)
    if session.scalar(held.limit(1)) is not None:
        return None
    lately = select(func.max(Claim.lease_until)).where(Claim.dispatch_id == dispatch.id).scalar_subquery()
    its_due = (Delivery.dispatch_id == dispatch.id, DUE, Delivery.due_at <= at)
    due, held_to = session.execute(select(func.min(Delivery.due_at), lately).where(*its_due)).one()
    seen = held_to - timedelta(seconds=settings.current().lease) if held_to else None  # the claim's last sign of life
    return _since(session, dispatch, due, seen) if due else None


def _since(session: Session, dispatch: Dispatch, *moments: datetime | None) -> datetime:
    control = last_control(session, dispatch)  # what was paused for an hour has not been idle for an hour
    return max(filter(None, (*moments, control.at if control else None)))


def in_hand(session: Session, queue: str, now: datetime) -> bool:
    """Tell whether some worker has a live claim on mail of a queue."""
    found = select(Claim.id).where(Claim.queue == queue, Claim.closed.is_(False), Claim.lease_until > now).limit(1)
    return session.scalar(found) is not None


def due_dispatches(session: Session, now: datetime) -> list[int]:
    """Return the dispatches with mail due."""
    due = exists().where(and_(Delivery.dispatch_id == Dispatch.id, DUE, Delivery.due_at <= now))
    return list(session.scalars(select(Dispatch.id).where(Dispatch.state == DispatchState.SENDING, due)))


def due_now(session: Session, dispatch_id: int, now: datetime) -> bool:
    """Tell whether a dispatch that is being sent has mail due, and a relay to take it."""
    due = select(Delivery.id).where(Delivery.dispatch_id == dispatch_id, DUE, Delivery.due_at <= now)
    sending = exists().where(Dispatch.id == dispatch_id, Dispatch.state == DispatchState.SENDING)
    return relay.state(session) is None and session.scalar(due.where(sending).limit(1)) is not None


def due_confirmations(session: Session, now: datetime) -> bool:
    """Tell whether confirmations, notices or tests are due and nobody is at them."""
    due = select(Delivery.id).where(Delivery.dispatch_id.is_(None), DUE, Delivery.due_at <= now).limit(1)
    return session.scalar(due) is not None and not in_hand(session, "confirmations", now)


def dispatches_in(session: Session, state: DispatchState) -> list[int]:
    """Return the dispatches in a state."""
    return list(session.scalars(select(Dispatch.id).where(Dispatch.state == state)))
