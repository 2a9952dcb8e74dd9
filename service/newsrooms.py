"""Newsrooms: read from a file, kept, shown back."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from service.database import one_at_a_time
from service.files import SLUG, ContactFields, Fields, Line, Prose, SenderEmail, WebAddress, parse_yaml
from service.models import Contact, Newsroom

RESERVED = frozenset(
    (
        *("desk", "api", "confirm", "unsubscribe", "healthz", "readyz", "metrics", "static", "json", "login"),
        *("logout", "password", "account"),
        *("robots.txt", "sitemap.xml", "favicon.ico"),
    )
)
"""Names that no newsroom may have: the site's own paths."""


def _slug(value: str) -> str:
    if not SLUG.fullmatch(value):
        raise PydanticCustomError("slug", "use a-z, 0-9 and single hyphens")
    if value in RESERVED:
        said = "{value} is a name of the site's own; choose another"
        raise PydanticCustomError("slug_reserved", said, {"value": repr(value)})
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        said = "{value} is not a time zone; write it like Europe/Stockholm"
        raise PydanticCustomError("time_zone", said, {"value": repr(value)}) from None
    return value


def _colour(value: str) -> str:
    if value and not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        raise PydanticCustomError("colour", "write the colour like #1f5f4a")
    return value


class SenderFields(Fields):
    """Who a mail is from; the address takes replies."""

    name: Annotated[Line, StringConstraints(max_length=200)] = ""
    address: Annotated[SenderEmail, StringConstraints(min_length=1)]


class PrivacyFields(Fields):
    """Whom the privacy notice names."""

    controller: Prose = ""
    data_protection_officer: Prose = ""


class NewsroomFile(Fields):
    """A newsroom as its YAML file says."""

    slug: Annotated[Line, StringConstraints(max_length=80), AfterValidator(_slug)]
    name: Annotated[Line, StringConstraints(min_length=1, max_length=200)]
    language: Literal["sv", "fi", "en"]
    timezone: Annotated[Line, StringConstraints(max_length=64), AfterValidator(_zone)]
    tagline: Annotated[Line, StringConstraints(max_length=300)] = ""
    website: WebAddress = ""
    address: Prose = ""
    phone: Annotated[Line, StringConstraints(max_length=50)] = ""
    about: Prose = ""
    accent: Annotated[Line, AfterValidator(_colour)] = ""
    sender: SenderFields | None = None
    bounce_address: SenderEmail = ""
    follow_text: Annotated[Line, StringConstraints(max_length=500)] = ""
    privacy: PrivacyFields = PrivacyFields()
    contacts: Annotated[list[ContactFields], Field(max_length=50, default_factory=list)]


PLAIN = (
    *("name", "language", "timezone", "tagline", "website", "address", "phone", "about", "accent"),
    *("bounce_address", "follow_text"),
)
"""The fields that a newsroom and its file call by one name and hold as one text."""


def parse_file(text: str, name: str) -> NewsroomFile:
    """Return a newsroom file's fields; raise FileError with file, line and field."""
    return parse_yaml(NewsroomFile, text, name)


def load(session: Session, file: NewsroomFile, now: datetime) -> Newsroom:
    """Make the newsroom, or make it be as the file says."""
    one_at_a_time(session, f"newsroom {file.slug}")
    newsroom = get(session, file.slug)
    if newsroom is None:
        newsroom = Newsroom(slug=file.slug, created_at=now)
        session.add(newsroom)
    for field in PLAIN:
        setattr(newsroom, field, getattr(file, field))
    newsroom.sender_name = file.sender.name if file.sender else ""
    newsroom.sender_address = file.sender.address if file.sender else ""
    newsroom.privacy = file.privacy.model_dump()
    newsroom.contacts = [Contact(position=n, **fields.model_dump()) for n, fields in enumerate(file.contacts)]
    newsroom.updated_at = now
    session.flush()
    return newsroom


def fields(newsroom: Newsroom) -> dict[str, Any]:
    """Return a newsroom as the fields of its file, empty ones left out."""
    plain = {
        field: getattr(newsroom, field) for field in NewsroomFile.model_fields if field not in ("sender", "contacts")
    }
    sender = {"name": newsroom.sender_name, "address": newsroom.sender_address}
    contacts = [
        {field: getattr(contact, field) for field in ContactFields.model_fields if getattr(contact, field)}
        for contact in newsroom.contacts
    ]
    found = plain | {
        "privacy": {key: value for key, value in newsroom.privacy.items() if value},
        "sender": {key: value for key, value in sender.items() if value},
        "contacts": contacts,
    }
    return {field: found[field] for field in NewsroomFile.model_fields if found[field]}


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the names of the fields in which two states of a newsroom differ."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def as_yaml(fields: dict[str, Any]) -> str:
    """Return a newsroom's fields as the YAML that `newsroom load` reads."""
    return yaml.dump(fields, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=100)


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, as a person would."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def get(session: Session, slug: str) -> Newsroom | None:
    """Return a newsroom with its contacts, or None."""
    if not SLUG.fullmatch(slug):  # text that a database may not even take
        return None
    return session.scalar(select(Newsroom).where(Newsroom.slug == slug).options(selectinload(Newsroom.contacts)))


def every(session: Session) -> list[Newsroom]:
    """Return all newsrooms by name."""
    return list(session.scalars(select(Newsroom).options(selectinload(Newsroom.contacts)).order_by(Newsroom.name)))
