"""A version of a release becomes a mail: compiled for the dispatch, joined for each follower."""

from datetime import datetime
from typing import Any

from service import i18n, settings
from service.mail import clean, headers, message, page, prose, quoted
from service.mail.message import Compiled, Form, MessageError
from service.models import Newsroom, Release, Version

LARGEST_HTML = 102_400
"""Octets; Gmail hides the rest of a longer mail, the leave link with it."""
LONGEST_LEAD = 2_000


def compile_release(newsroom: Newsroom, release: Release, version: Version, *, mark: str = "") -> Compiled:
    """Return the message of a release in its version's language, with placeholders for what differs.

    `mark` stands before the subject.
    """
    if release.published_at is None:
        raise ValueError("a release is mailed once it is published")
    context = _context(newsroom, release, version, release.published_at)
    html, text, shortened = _fitted(context, version)
    leave = message.leaving(context["leave_url"])
    subject = mark + page.subject("release", version.language, context)
    opening = message.opening(newsroom, subject, release.published_at, version.language)
    content = message.compiled([*opening, *_list_fields(newsroom), *leave], text, html)
    return Compiled(message.return_path(newsroom), message.check(content, message.LEAVE_LINKS), shortened)


def form(content: bytes) -> Form:
    """Return a compiled release's mail, ready to be filled for each follower; raise MessageError."""
    return Form(content, message.LEAVE_LINKS)


def join(content: bytes, *, address: str, public_id: str, leave_token: str) -> bytes:
    """Return one follower's message; raise MessageError rather than make a wrong one."""
    return form(content).fill(address=address, public_id=public_id, leave_token=leave_token)


def _list_fields(newsroom: Newsroom) -> list[str]:
    """Return the fields of RFC 2919 and RFC 2369; the id stays the same when the newsroom is renamed."""
    home = f"{settings.current().site}/{newsroom.slug}"
    phrase = headers.phrase(clean.name(newsroom.name, newsroom.slug))
    return [
        headers.field("List-Id", [*phrase, f"<{newsroom.slug}.{settings.current().domain}>"]),
        headers.field("List-Help", [f"<{home}>"]),
        headers.field("List-Owner", [f"<mailto:{message.sender(newsroom)[1]}>"]),
        headers.field("List-Archive", [f"<{home}/releases>"]),
    ]


def _context(newsroom: Newsroom, release: Release, version: Version, moment: datetime) -> dict[str, Any]:
    site = settings.current().site
    people = version.contacts or [
        {"name": person.name, "role": person.role, "phone": person.phone, "email": person.email}
        for person in newsroom.contacts
    ]
    return page.context(newsroom, version.language) | {
        "kind": release.kind.value,
        "moment": i18n.full_moment(moment, version.language, newsroom.timezone),
        "headline": clean.name(version.headline, clean.name(newsroom.name, newsroom.slug)),
        "lead": page.paragraphs(version.lead),
        "contacts": [page.contact(person) for person in people],
        "keywords": [word for word in map(clean.line, version.keywords) if word],
        "about": prose.blocks(newsroom.about),
        "leave_url": f"{site}/unsubscribe/{quoted.LEAVE}",
        "web_url": f"{site}/{newsroom.slug}/releases/{release.slug}",
    }


def _fitted(context: dict[str, Any], version: Version) -> tuple[bytes, str, bool]:
    """Return the HTML (encoded) and the text of as many of the body's blocks as a mail can hold."""
    body = prose.blocks(version.body)
    html = _html(context, version, body, shortened=False)
    if len(html) < LARGEST_HTML:
        return html, _text(context, version, body, shortened=False), False
    kept, context = _cut(context, version, body)
    return (
        _html(context, version, kept, shortened=True),
        _text(context, version, kept, shortened=True),
        True,
    )


def _cut(
    context: dict[str, Any], version: Version, body: list[prose.Block]
) -> tuple[list[prose.Block], dict[str, Any]]:
    lead = "\n\n".join(context["lead"])
    bare = context | {"about": []}
    for tried in (context, bare, bare | {"lead": [page.start(lead, LONGEST_LEAD)]}):
        if len(_html(tried, version, [], shortened=True)) < LARGEST_HTML:
            return body[: _most(tried, version, body)], tried
    raise MessageError("the release is too long for a mail, even without its body")


def _most(context: dict[str, Any], version: Version, body: list[prose.Block]) -> int:
    """Return how many blocks fit; each try costs a rendering, so halve what is left."""
    low, high = 0, len(body)
    while low < high - 1:
        middle = (low + high) // 2
        fits = len(_html(context, version, body[:middle], shortened=True)) < LARGEST_HTML
        low, high = (middle, high) if fits else (low, middle)
    return low


def _html(context: dict[str, Any], version: Version, body: list[prose.Block], *, shortened: bool) -> bytes:
    values = context | {"body": body, "shortened": shortened}
    return quoted.encode(page.html("release", version.language, values))


def _text(context: dict[str, Any], version: Version, body: list[prose.Block], *, shortened: bool) -> str:
    values = context | {"body": body, "shortened": shortened}
    return page.text("release", version.language, values)
