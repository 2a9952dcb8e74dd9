"""Mails to one person: please confirm, and you follow already. Rendered when sent, from rows."""

from datetime import datetime
from typing import Any

from service import i18n, settings, tokens
from service.mail import headers, message, page, quoted
from service.mail.message import Compiled
from service.models import Newsroom, Subscription

_AUTOMATIC = headers.field("Auto-Submitted", ["auto-generated"])
"""So that no absence notice answers (RFC 3834 §5)."""


def confirmation(newsroom: Newsroom, subscription: Subscription, public_id: str, now: datetime) -> Compiled:
    """Return the mail that asks a new follower to confirm."""
    if subscription.expires_at is None:
        raise ValueError("only a pending subscription is confirmed")
    values = {
        "confirm_url": f"{settings.current().site}/confirm/{tokens.confirm_token(subscription.id)}",
        "until": i18n.full_moment(subscription.expires_at, subscription.language, newsroom.timezone),
    }
    return _letter("confirmation", newsroom, subscription, public_id, now, values)


def notice(newsroom: Newsroom, subscription: Subscription, public_id: str, now: datetime) -> Compiled:
    """Return the mail to somebody who asks to follow and does already."""
    values = {"leave_url": f"{settings.current().site}/unsubscribe/{quoted.LEAVE}"}
    return _letter("notice", newsroom, subscription, public_id, now, values)


def _letter(
    name: str,
    newsroom: Newsroom,
    subscription: Subscription,
    public_id: str,
    now: datetime,
    values: dict[str, Any],
) -> Compiled:
    language = subscription.language
    context = page.context(newsroom, language) | values
    leave = message.leaving(values["leave_url"]) if "leave_url" in values else []
    opening = message.opening(newsroom, page.subject(name, language, context), now, language)
    html = quoted.encode(page.html(name, language, context))
    content = message.compiled([*opening, _AUTOMATIC, *leave], page.text(name, language, context), html)
    form = message.Form(content, message.LEAVE_LINKS if leave else 0)
    address, leave_token = subscription.address or "", subscription.leave_token
    finished = form.fill(address=address, public_id=public_id, leave_token=leave_token)
    return Compiled(message.return_path(newsroom), finished)
