"""A release as a file: Markdown with YAML front matter."""

import re
import unicodedata
from pathlib import PurePath
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from service.files import SLUG, ContactFields, Fields, Line, Prose, Words, parse_yaml, split_front_matter
from service.i18n import LANGUAGES
from service.states import Kind

LONGEST_BODY = 200_000
"""Characters in a body: forty times a long press release, and rendered in a moment."""


NO_OR_SLUG = f"^({SLUG.pattern})?$"


def _slug(value: str) -> str:
    if value and not SLUG.fullmatch(value):
        raise PydanticCustomError("slug", "use a-z, 0-9 and single hyphens")
    return value


def _language(value: str) -> str:
    if value and value not in LANGUAGES:
        raise PydanticCustomError("choice", "it must be one of {offered}", {"offered": ", ".join(LANGUAGES)})
    return value


def _kind(value: str) -> str:
    if value not in list(Kind):
        raise PydanticCustomError("choice", "it must be one of {offered}", {"offered": ", ".join(Kind)})
    return value


Language = Annotated[str, AfterValidator(_language), Field(json_schema_extra={"enum": ["", *LANGUAGES]})]
"""One of ours, or empty for the newsroom's."""


class Content(Fields):
    """What a release says, wherever it was written."""

    slug: Annotated[
        str, StringConstraints(max_length=120), AfterValidator(_slug), Field(json_schema_extra={"pattern": NO_OR_SLUG})
    ] = ""
    language: Language = ""
    kind: Annotated[str, AfterValidator(_kind), Field(json_schema_extra={"enum": list(Kind)})] = (
        Kind.PRESS_RELEASE.value
    )
    headline: Annotated[Words, StringConstraints(max_length=300)]
    lead: Annotated[Prose, StringConstraints(max_length=5000)] = ""
    keywords: Annotated[
        list[Annotated[Words, StringConstraints(max_length=100)]],
        Field(max_length=30, default_factory=list),
    ]
    contacts: Annotated[list[ContactFields], Field(max_length=20, default_factory=list)]
    body: Annotated[Prose, StringConstraints(max_length=LONGEST_BODY)] = ""


class ReleaseFile(Content):
    """A release as its front matter and body say; its content is these fields, whatever the file looks like."""

    newsroom: Line = ""
    date: Line = ""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.lead or self.body):
            raise ValueError("the release has neither lead nor body")
        return self


def parse(text: str, name: str) -> ReleaseFile:
    """Return a release file's fields, the slug from the file's stem where none is given; raise FileError."""
    front, body = split_front_matter(text, name)
    file = parse_yaml(ReleaseFile, front, name, body=body)
    return file if file.slug else file.model_copy(update={"slug": slug_of(PurePath(name).stem)})


def slug_of(text: str) -> str:
    """Return a text as a slug: a-z, 0-9 and single hyphens, å and ä as a, ö as o."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:120].strip("-") or "release"
