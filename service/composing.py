"""Envelopes for claimed mails: a release's joined from its compiled message, letters rendered from ids."""

from functools import cached_property

import structlog
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import joinedload

from service import database, mail
from service.mail import Compiled
from service.models import Delivery, Message, Release, Subscription, Version
from service.outcomes import Mail
from service.smtp import Envelope, dotted
from service.states import DeliveryKind

log = structlog.get_logger()


class Composer:
    """Makes the mails of a dispatch (None: confirmations, notices, tests)."""

    def __init__(self, dispatch_id: int | None) -> None:
        self.dispatch_id = dispatch_id

    def envelope(self, one: Mail) -> Envelope | None:
        """Make a mail; None for one that cannot be made, which must not stop the others."""
        if one.address is None:
            return None
        try:
            if one.kind is DeliveryKind.RELEASE:
                return self._of_release(one, one.address)
            made = _letter(one)
            return Envelope(one.id, made.sender, one.address, dotted(made.content))
        except DBAPIError:
            raise
        except Exception as error:
            log.error("mail could not be made", delivery=one.id, exc_info=error)
            return None

    def _of_release(self, one: Mail, address: str) -> Envelope:
        sender, form = self._forms.get(one.language) or next(iter(self._forms.values()))
        content = form.fill(address=address, public_id=one.public_id, leave_token=one.leave_token)
        return Envelope(one.id, sender, address, content)

    @cached_property
    def _forms(self) -> dict[str, tuple[str, mail.Form]]:
        """The dispatch's compiled message in each language, with its dots stuffed once for all."""
        with database.reading() as session:
            found = select(Message).where(Message.dispatch_id == self.dispatch_id).order_by(Message.id)
            return {one.language: (one.sender, mail.form(dotted(one.content))) for one in session.scalars(found)}


def _letter(one: Mail) -> Compiled:
    """Render a confirmation, a notice or a test, from ids."""
    if one.kind is DeliveryKind.TEST:
        return _test(one)
    compose = mail.confirmation if one.kind is DeliveryKind.CONFIRMATION else mail.notice
    with database.reading() as session:
        follower = session.get_one(Subscription, one.subscription_id, options=[joinedload(Subscription.newsroom)])
        return compose(follower.newsroom, follower, one.public_id, database.now(session))


def _test(one: Mail) -> Compiled:
    with database.reading() as session:
        version, release = session.execute(
            select(Version, Release)
            .join(Release, Release.id == Version.release_id)
            .join(Delivery, Delivery.version_id == Version.id)
            .where(Delivery.id == one.id)
            .options(joinedload(Release.newsroom))
        ).one()
        now = database.now(session)
        return mail.test_mail(
            release.newsroom, release, version, now, address=one.address or "", public_id=one.public_id
        )
