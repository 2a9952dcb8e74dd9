"""What the templates of a mail are given, and what they make."""

import re
from typing import Any, NamedTuple

import css_inline

from service import i18n, settings
from service.mail import clean, look, plain
from service.models import Newsroom

_TRUNK_ZERO = re.compile(r"\(0\)")
_WRITTEN = re.compile(r"[^\s?&%<>\"]+@[^\s?&%<>\"]+")
_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False)


class Contact(NamedTuple):
    """Somebody to call or write to; links are empty where nothing can be linked."""

    name: str
    role: str
    phone: str
    phone_url: str
    email: str
    email_url: str


def context(newsroom: Newsroom, language: str) -> dict[str, Any]:
    """Return what every mail of a newsroom needs."""
    return {
        "lang": language,
        "name": clean.name(newsroom.name, newsroom.slug),
        "home_url": f"{settings.current().site}/{newsroom.slug}",
        "address": [line for line in map(clean.line, clean.lines(newsroom.address).split("\n")) if line],
        "accent": look.accent(newsroom.accent),
        "paper": look.PAPER,
        "night": look.NIGHT,
        "fill": plain.fill,
        "underlined": plain.underlined,
    }


def contact(person: dict[str, Any]) -> Contact:
    """Return a contact with what can be tapped on."""
    fields = ("name", "role", "phone", "email")
    name, role, phone, email = (clean.line(str(person.get(field) or "")) for field in fields)
    number = re.sub(r"[^\d+]", "", _TRUNK_ZERO.sub("", phone))
    phone_url = f"tel:{number}" if re.search(r"\d", number) else ""
    email_url = f"mailto:{email}" if _WRITTEN.fullmatch(email) else ""
    return Contact(name, role, phone, phone_url, email, email_url)


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of text without marks."""
    return [part for part in map(clean.line, re.split(r"\n\s*\n", clean.lines(text))) if part]


def start(text: str, longest: int) -> str:
    """Return the start of text, cut at a blank where there is one."""
    if len(text) <= longest:
        return text
    found = text[:longest]
    return f"{found.rsplit(None, 1)[0] if ' ' in found else found} …"


def subject(template: str, language: str, values: dict[str, Any]) -> str:
    """Return a mail's subject."""
    return clean.line(i18n.environment(language).get_template(f"mail/{template}/subject.txt").render(values))


def text(template: str, language: str, values: dict[str, Any]) -> str:
    """Return a mail's text part."""
    return i18n.environment(language).get_template(f"mail/{template}/body.txt").render(values).strip("\n")


def html(template: str, language: str, values: dict[str, Any]) -> str:
    """Return a mail's HTML part, the style inlined, but for what only a style sheet can say."""
    made = i18n.environment(language).get_template(f"mail/{template}/body.html").render(values)
    return _INLINER.inline(made).rstrip()
