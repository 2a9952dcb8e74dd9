"""What programs send and get, as JSON; moments that we tell are UTC."""

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from service.address import LONGEST
from service.files import Fields, Prose, WebAddress
from service.release_file import Content, Language


def _whole(given: Any) -> Any:
    """Let 7.0 be 7, as JSON Schema does."""
    return int(given) if isinstance(given, float) and given.is_integer() else given


Number = Annotated[int, Field(ge=1, le=2**31 - 1), BeforeValidator(_whole)]
Moment = Annotated[
    datetime,
    PlainSerializer(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"), return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?"


def _with_clock(given: str | None) -> str | None:
    if given is not None and not re.fullmatch(_MOMENT, given):
        raise ValueError("write it like 2031-03-01T09:30 or 2031-03-01T09:30+01:00")
    return given


class Publish(Fields):
    """How to publish: now and by mail, unless it says otherwise."""

    at: Annotated[
        str | None,
        AfterValidator(_with_clock),
        Field(
            description="When, instead of now: 2031-03-01T09:30 in the newsroom's zone, or 2031-03-01T09:30+01:00.",
            json_schema_extra={"format": "moment"},
        ),
    ] = None
    mail: Annotated[
        bool | None,
        Field(description="false: on the web only; nobody is mailed. Left out: true, or as it was scheduled."),
    ] = None


class PublishSeen(Publish):
    """How to publish a release that is there."""

    revision: Annotated[
        Number | None, Field(description="The revision that was read: where the draft has changed since, 409.")
    ] = None


class NewRelease(Content):
    """A release: what it says, and whether it is published at once."""

    publish: Annotated[
        Publish | None, Field(description="Publish it in the same call (role publisher). Left out: it stays a draft.")
    ] = None


class ContactShown(BaseModel):
    """Somebody whom journalists may call; what is not known is empty."""

    name: str
    role: str = ""
    phone: str = ""
    email: str = ""


class ReleaseLine(BaseModel):
    """A release in short. `dispatch` is the number of its mailing: null for a draft, a scheduled or an unmailed one."""

    id: int
    newsroom: str
    slug: str
    kind: str
    state: Annotated[str, Field(description="draft, scheduled, published or withdrawn")]
    revision: Annotated[int, Field(description="Counts the changes of a draft.")]
    version: int
    language: str
    headline: str
    created_at: Moment
    updated_at: Moment
    publish_at: Moment | None
    published_at: Moment | None
    dispatch: int | None
    url: Annotated[str, Field(description="Where it is read, or will be once it is published.")]


class ReleaseShown(ReleaseLine):
    """A release with its text."""

    lead: str
    body: Annotated[str, Field(description="Markdown")]
    keywords: list[str]
    contacts: list[ContactShown]
    mailed: Annotated[bool, Field(description="false: it is, or will be, on the web only.")]
    withdrawn_at: Moment | None


class ReleaseList(BaseModel):
    """Releases, newest first; `next` is the address of the next page, or null."""

    releases: list[ReleaseLine]
    next: str | None


class Published(BaseModel):
    """What publishing gave: the same again when it is repeated."""

    release: str
    version: int
    state: str
    publish_at: Moment | None
    dispatch: Annotated[int | None, Field(description="The mailing; null while scheduled, or where nobody is mailed")]
    url: str


class Relay(BaseModel):
    """The mail relay, while it is away."""

    unreachable_since: Moment
    last_words: str


class BooksShown(BaseModel):
    """The books of a mailing. Always recipients = accepted + refused + skipped + uncertain + pending."""

    id: int
    release: Annotated[str, Field(description="newsroom/slug")]
    version: int
    state: Annotated[str, Field(description="expanding, sending, paused, finished or cancelled")]
    recipients: Annotated[int | None, Field(description="null until they are entered")]
    accepted: Annotated[int, Field(description="The relay took the mail.")]
    refused: Annotated[int, Field(description="The relay refused it for good.")]
    skipped: Annotated[int, Field(description="Left before it was their turn, or the mailing was stopped.")]
    uncertain: Annotated[int, Field(description="Nobody knows whether the relay took it.")]
    pending: Annotated[int, Field(description="Still to come.")]
    started_at: Moment | None
    finished_at: Moment | None
    deferred: Annotated[int, Field(description="Of the pending: wait for a later try.")]
    held: Annotated[int, Field(description="Of the uncertain: wait for a decision.")]
    next_due: Moment | None
    relay: Annotated[Relay | None, Field(description="null while the relay answers")]


class Follow(Fields):
    """Somebody asked to follow, on a page that is not ours."""

    email: Annotated[str, Field(max_length=LONGEST, json_schema_extra={"format": "email"})]
    language: Annotated[
        Language, Field(description="Of the page and the mails; the newsroom's where it is left out.")
    ] = ""
    consent: Annotated[
        Prose,
        StringConstraints(max_length=2000),
        Field(description="The exact words shown beside the field; the record keeps them (GDPR 7(1))."),
    ] = ""
    page: Annotated[WebAddress, Field(description="The page on which it was asked.")] = ""


class Asked(BaseModel):
    """A mail asks them to confirm; the answer is the same whoever they are."""

    newsroom: str
    status: Annotated[str, Field(description="accepted")] = "accepted"


class ProblemShown(BaseModel):
    """Problem details (RFC 9457)."""

    type: Annotated[str, Field(json_schema_extra={"format": "uri"}, description="The kind, with a name that stays.")]
    title: str
    status: int
    detail: str
    release: Annotated[str, Field(description="With `slug-taken`: where the other release is read.")] = ""
    errors: Annotated[list[dict[str, Any]] | None, Field(description="Each field or parameter that does not fit")] = (
        None
    )
