"""A release's mail before it is sent: as a test to one of the staff, and opened for a look at it."""

from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy

from service import i18n
from service.mail import message, release
from service.mail.message import Compiled
from service.models import Newsroom, Release, Version
from service.tokens import TEST_LEAVE_TOKEN


@dataclass(frozen=True)
class Opened:
    """A mail as a mail program shows it; `shortened` where it ends with a link to the whole text."""

    sender: str
    subject: str
    text: str
    html: str
    shortened: bool


def test_mail(
    newsroom: Newsroom, about: Release, version: Version, now: datetime, *, address: str, public_id: str
) -> Compiled:
    """Return the mail of a release that is not published yet, its subject marked, its leave link inert."""
    mark = i18n.translate(version.language, "Test")
    made = release.compile_release(newsroom, as_published(about, now), version, mark=f"[{mark}] ")
    content = release.join(made.content, address=address, public_id=public_id, leave_token=TEST_LEAVE_TOKEN)
    return Compiled(made.sender, content, made.shortened)


def preview(newsroom: Newsroom, about: Release, version: Version, now: datetime, *, address: str) -> Opened:
    """Return the very mail that followers would get now, opened; raise ValueError where none can be made."""
    made = release.compile_release(newsroom, as_published(about, now), version)
    content = release.join(made.content, address=address, public_id="preview", leave_token=TEST_LEAVE_TOKEN)
    parsed = message_from_bytes(content, policy=policy.default)
    text, html = (parsed.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None and html is not None  # noqa: S101 - we have just made both
    return Opened(
        sender=str(parsed["From"]),
        subject=str(parsed["Subject"]),
        text=str(text.get_content()).replace("\r\n", "\n"),
        html=str(html.get_content()),
        shortened=made.shortened,
    )


def sender(newsroom: Newsroom) -> tuple[str, str]:
    """Return the name and the address that a newsroom's mail comes from."""
    return message.sender(newsroom)


def as_published(about: Release, now: datetime) -> Release:
    """Return a release as readers would see it now, or when its time comes; not a row of the database."""
    return Release(
        id=about.id, slug=about.slug, kind=about.kind, published_at=about.published_at or about.publish_at or now
    )
