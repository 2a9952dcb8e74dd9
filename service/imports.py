"""Followers brought along from elsewhere, with the proof of their consent."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service import database
from service.address import Address
from service.expanding import newsroom_lock
from service.models import Consent, Newsroom, Subscription
from service.states import SubscriptionState
from service.subscriptions import ConsentShown, consent_row, insert_into, new_row


@dataclass(frozen=True)
class Imported:
    """How many an import entered, and how many it did not because they had left."""

    entered: int
    left: int


def import_addresses(
    session: Session, newsroom: Newsroom, addresses: list[Address], consent: ConsentShown, now: datetime
) -> Imported:
    """Enter followers whose consent was given elsewhere, confirmed at once.

    One who had asked here and not yet confirmed becomes confirmed; one who follows already is left alone;
    one who has left stays away, for a list from elsewhere does not outweigh that.
    Give it some hundreds at a time: it is one transaction.
    """
    database.share(session, newsroom_lock(newsroom.id))
    texts = {address.hash: address.text for address in addresses}
    left = _have_left(session, newsroom, texts)
    texts = {key: text for key, text in texts.items() if key not in left}
    if not texts:
        return Imported(0, len(left))
    ordered = sorted(texts.items())  # one order for all: two imports at once must not wait for each other
    rows = [new_row(newsroom, Address(text, key), consent.language, now) for key, text in ordered]
    session.execute(insert_into(session).values(rows).on_conflict_do_nothing())
    mine = (Subscription.newsroom_id == newsroom.id, Subscription.address_hash.in_(texts))
    found = session.execute(
        update(Subscription)
        .where(*mine, Subscription.state == SubscriptionState.PENDING)
        .values(state=SubscriptionState.CONFIRMED, confirmed_at=now, expires_at=None)
        .returning(Subscription.id, Subscription.address_hash)
        .execution_options(synchronize_session=False)
    ).all()
    session.add_all(
        consent_row(number, newsroom, key or "", consent, now, mailed=False, confirmed=now) for number, key in found
    )
    session.flush()
    return Imported(len(found), len(left))


def _have_left(session: Session, newsroom: Newsroom, hashes: Collection[str]) -> set[str | None]:
    """Return those of the hashes that followed this newsroom once, left, and do not follow now."""
    of_consents = (Consent.address_hash.in_(hashes), Consent.confirmed_at.is_not(None))
    once = select(Consent.address_hash).join(Subscription, Subscription.id == Consent.subscription_id)
    ended = once.where(*of_consents, Consent.newsroom_id == newsroom.id, Subscription.state == SubscriptionState.ENDED)
    here = select(Subscription.address_hash).where(
        Subscription.newsroom_id == newsroom.id, Subscription.address_hash.in_(hashes)
    )
    return set(session.scalars(ended)) - set(session.scalars(here))
