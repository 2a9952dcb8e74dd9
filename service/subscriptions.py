"""Follow, confirm, leave."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, joinedload

from service import database, ledger, tokens
from service.address import Address, hash_of
from service.expanding import newsroom_lock
from service.models import Consent, Delivery, Newsroom, Subscription
from service.settings import SettingsError
from service.states import DeliveryKind, DeliveryState, SubscriptionState
from service.suppressions import covers, forbids_confirmation

PENDING_DAYS = 7
"""A confirm link and its pending row expire together, this long after the latest request."""

CONSENT_MONTHS = 12
"""The consent record keeps the keyed hash of an address for this long after the subscription has ended."""

PAUSE = timedelta(minutes=15)
DAILY = 5
"""Mails about following to one address: one in PAUSE for a newsroom, DAILY in a day over all."""


@dataclass(frozen=True)
class ConsentShown:
    """What was shown to somebody who asked to follow: the exact text, its version, the page, the language."""

    text: str
    version: str
    page: str
    language: str


@dataclass(frozen=True)
class Confirmation:
    """What a confirm link means now."""

    status: Literal["bad", "expired", "pending", "confirmed"]
    subscription: Subscription | None = None

    @property
    def newsroom(self) -> Newsroom | None:
        """The newsroom that it is about."""
        return self.subscription.newsroom if self.subscription else None


def subscribe(session: Session, newsroom: Newsroom, address: Address, consent: ConsentShown, now: datetime) -> None:
    """Take a request to follow: a pending row, a consent record, a mail. The same work for known and unknown."""
    subscription = _upsert_pending(session, newsroom, address, consent.language, now)
    mailed = _may_mail(session, newsroom, address, now)
    known = subscription.state == SubscriptionState.CONFIRMED
    if mailed:
        kind = DeliveryKind.NOTICE if known else DeliveryKind.CONFIRMATION
        ledger.enter(session, kind, subscription.id, now)
    session.add(consent_row(subscription.id, newsroom, address.hash, consent, now, mailed=mailed))
    session.flush()


def _upsert_pending(
    session: Session, newsroom: Newsroom, address: Address, language: str, now: datetime
) -> Subscription:
    """Return the subscription of this address, made or its link prolonged, whoever else asks at the same moment."""
    row = new_row(newsroom, address, language, now)
    made = insert_into(session).values(row)
    pending = Subscription.state == SubscriptionState.PENDING
    prolonged = made.on_conflict_do_update(
        index_elements=["newsroom_id", "address_hash"],
        set_={"expires_at": row["expires_at"], "language": language},
        where=pending,
    )
    session.execute(prolonged)
    mine = (Subscription.newsroom_id == newsroom.id, Subscription.address_hash == address.hash)
    return session.scalars(select(Subscription).where(*mine).execution_options(populate_existing=True)).one()


def new_row(newsroom: Newsroom, address: Address, language: str, now: datetime) -> dict[str, object]:
    """Return the values of a new subscription, pending."""
    return {
        "newsroom_id": newsroom.id,
        "address": address.text,
        "address_hash": address.hash,
        "state": SubscriptionState.PENDING,
        "language": language,
        "leave_token": tokens.new_leave_token(),
        "created_at": now,
        "expires_at": now + timedelta(days=PENDING_DAYS),
    }


def insert_into(session: Session) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT of subscriptions that can mind conflicts, in this database's dialect."""
    new = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    return new(Subscription)


def _may_mail(session: Session, newsroom: Newsroom, address: Address, now: datetime) -> bool:
    database.one_at_a_time(session, address.hash)  # others may ask in other newsrooms at this very moment
    sent = (Consent.address_hash == address.hash, Consent.mailed.is_(True))
    lately = select(func.count()).where(*sent, Consent.newsroom_id == newsroom.id, Consent.requested_at > now - PAUSE)
    today = select(func.count()).where(*sent, Consent.requested_at > now - timedelta(days=1))
    fresh = session.scalar(lately) == 0 and (session.scalar(today) or 0) < DAILY
    return (
        fresh
        and not _one_waits(session, newsroom, address)
        and not forbids_confirmation(session, address.hash, newsroom.id, now)
    )


def _one_waits(session: Session, newsroom: Newsroom, address: Address) -> bool:
    """Tell whether a mail about following has yet to leave: it is rendered when sent, so one serves for all."""
    waiting = Delivery.state.in_((DeliveryState.QUEUED, DeliveryState.CLAIMED, DeliveryState.DEFERRED))
    found = (
        select(Delivery.id)
        .join(Subscription, Subscription.id == Delivery.subscription_id)
        .where(Subscription.newsroom_id == newsroom.id, Subscription.address_hash == address.hash)
        .where(Delivery.dispatch_id.is_(None), waiting)
    )
    return session.scalar(found.limit(1)) is not None


def consent_row(
    number: int,
    newsroom: Newsroom,
    key: str,
    shown: ConsentShown,
    now: datetime,
    *,
    mailed: bool,
    confirmed: datetime | None = None,
) -> Consent:
    """Return the record of one accepted request (GDPR 7(1))."""
    return Consent(
        subscription_id=number,
        newsroom_id=newsroom.id,
        address_hash=key,
        text=shown.text,
        text_version=shown.version,
        page=shown.page,
        language=shown.language,
        mailed=mailed,
        requested_at=now,
        confirmed_at=confirmed,
    )


def look_up(session: Session, confirm_token: str, now: datetime) -> Confirmation:
    """Tell what a confirm link means, changing nothing."""
    number = tokens.read_confirm_token(confirm_token)
    found = None if number is None else session.get(Subscription, number, options=[joinedload(Subscription.newsroom)])
    if found is None:
        return Confirmation("bad")
    if found.state == SubscriptionState.CONFIRMED:
        return Confirmation("confirmed", found)
    if found.state == SubscriptionState.ENDED or found.expires_at is None or found.expires_at <= now:
        return Confirmation("expired", found)
    return Confirmation("pending", found)


def confirm(session: Session, confirm_token: str, now: datetime) -> Confirmation:
    """Confirm a pending subscription; doing it again changes nothing."""
    found = look_up(session, confirm_token, now)
    if found.status != "pending" or found.subscription is None:
        return found
    number = found.subscription.id
    database.share(session, newsroom_lock(found.subscription.newsroom_id))
    session.execute(
        update(Subscription)
        .where(Subscription.id == number, Subscription.state == SubscriptionState.PENDING)
        .values(state=SubscriptionState.CONFIRMED, confirmed_at=now, expires_at=None)
    )
    latest = select(func.max(Consent.id)).where(Consent.subscription_id == number).scalar_subquery()
    session.execute(update(Consent).where(Consent.id == latest).values(confirmed_at=now))
    session.expire_all()
    return look_up(session, confirm_token, now)


def by_leave_token(session: Session, token: str) -> Subscription | None:
    """Return the subscription of a leave token, in whatever state, or None."""
    if not tokens.is_leave_token(token):
        return None
    wanted = select(Subscription).where(Subscription.leave_token == token)
    return session.scalar(wanted.options(joinedload(Subscription.newsroom)))


def leave(session: Session, token: str, now: datetime) -> Subscription | None:
    """End the subscription of a leave token and erase its address; None for an unknown token. Repeating is harmless."""
    found = by_leave_token(session, token)
    if found is None:
        return None
    end(session, found.id, now)
    session.refresh(found)
    return found


_ENDED = {"state": SubscriptionState.ENDED, "address": None, "address_hash": None, "expires_at": None}


def end(session: Session, subscription_id: int, now: datetime) -> None:
    """End a subscription: the address goes at once, what waits for it is skipped, a tombstone stays."""
    session.execute(
        update(Subscription)
        .where(Subscription.id == subscription_id, Subscription.state != SubscriptionState.ENDED)
        .values(**_ENDED, ended_at=now)
    )
    ledger.skip_subscription(session, subscription_id, now)


def expire(session: Session, now: datetime) -> int:
    """Erase what may no longer be kept: unconfirmed addresses, and hashes on old consent records."""
    pending = (Subscription.state == SubscriptionState.PENDING, Subscription.expires_at <= now)
    some = select(Subscription.id).where(*pending).limit(500)
    over = session.scalars(
        update(Subscription)
        .where(Subscription.id.in_(some), *pending)  # asked again: who has just confirmed stays
        .values(**_ENDED, ended_at=now)
        .returning(Subscription.id)
        .execution_options(synchronize_session=False)
    ).all()
    for number in over:
        ledger.skip_subscription(session, number, now)
    long_ago = now - timedelta(days=CONSENT_MONTHS * 365 / 12)
    gone = select(Subscription.id).where(Subscription.ended_at <= long_ago)
    session.execute(
        update(Consent)
        .where(Consent.subscription_id.in_(gone), Consent.address_hash.is_not(None))
        .values(address_hash=None)
        .execution_options(synchronize_session=False)
    )
    return len(over)


def check_key(session: Session) -> None:
    """Raise SettingsError where ADDRESS_KEY is not the one of this database: everybody would be entered anew."""
    known = select(Subscription.address, Subscription.address_hash).where(Subscription.address.is_not(None)).limit(1)
    found = session.execute(known).first()
    if found is not None and hash_of(found.address) != found.address_hash:
        raise SettingsError("UTSKICK_ADDRESS_KEY is not the one that this database was filled with; restore that one")


def reachable(session: Session, newsroom_id: int, now: datetime) -> int:
    """Return how many followers a release would be mailed to if it were published now."""
    may = ~covers(Subscription.address_hash, Subscription.newsroom_id, literal(now, Consent.requested_at.type))
    its = (Subscription.newsroom_id == newsroom_id, Subscription.state == SubscriptionState.CONFIRMED, may)
    return session.scalar(select(func.count()).select_from(Subscription).where(*its)) or 0


def count(session: Session, newsroom_id: int) -> dict[SubscriptionState, int]:
    """Return how many subscriptions are in each state."""
    grouped = select(Subscription.state, func.count()).where(Subscription.newsroom_id == newsroom_id)
    found = dict(session.execute(grouped.group_by(Subscription.state)).all())
    return {state: found.get(state, 0) for state in SubscriptionState}
