"""What is typed in a draft's form becomes a release's content, or sentences on what is wrong with it."""

import json
import re
from typing import Any

from pydantic import ValidationError

from service.files import ContactFields
from service.i18n import translate
from service.models import Newsroom, Release, Version
from service.release_file import Content
from service.states import Kind
from service.web.desk import problems
from service.web.desk.forms import Form
from service.web.desk.problems import Problems

FIELDS = ("headline", "slug", "lead", "body", "keywords", "language", "kind")
_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)|<img\b", re.IGNORECASE)
_TABLE = re.compile(r"^\s*\|?\s*:?-{3,}:?\s*\|", re.MULTILINE)

Typed = dict[str, Any]


def empty(newsroom: Newsroom) -> Typed:
    """Return the form of a new draft."""
    blank: Typed = dict.fromkeys(FIELDS, "")
    return blank | {"contacts": [], "language": newsroom.language, "kind": Kind.PRESS_RELEASE.value, "revision": 0}


def written(release: Release, version: Version) -> Typed:
    """Return the form of a draft as it is kept."""
    return {
        "headline": version.headline,
        "slug": release.slug,
        "lead": version.lead,
        "body": version.body,
        "keywords": ", ".join(version.keywords),
        "language": version.language,
        "kind": release.kind.value,
        "contacts": [_packed(one) for one in version.contacts],
        "revision": release.revision,
    }


def typed(form: Form, newsroom: Newsroom) -> Typed:
    """Return the form as it was sent, to be shown again whatever is wrong with it."""
    sent: Typed = {field: form.get(field) for field in FIELDS}
    sent["language"] = sent["language"] or newsroom.language
    sent["kind"] = sent["kind"] or Kind.PRESS_RELEASE.value
    return sent | {"contacts": form.all("contacts"), "revision": revision(form)}


def revision(form: Form) -> int:
    """Return the revision that the form was read at; 0, which no draft has, for none."""
    said = form.get("revision")
    return int(said) if re.fullmatch(r"[0-9]{1,9}", said) else 0


def checked(sent: Typed, language: str) -> tuple[Content | None, Problems]:
    """Return what the form says, or None and a sentence for each field that is wrong."""
    words = [word.strip() for word in str(sent["keywords"]).replace("\n", ",").split(",")]
    lists = {"keywords": [word for word in words if word], "contacts": [_unpacked(one) for one in sent["contacts"]]}
    fields = {name: sent[name] for name in FIELDS}
    try:
        return Content.model_validate(fields | lists), Problems()
    except ValidationError as error:
        found = problems.of(error, language)
        return None, Problems({_shown_at(field): said for field, said in found.items()})


def slug_taken(language: str) -> Problems:
    """Return what is wrong where another release has the address."""
    said = "Another release already has this address. Choose another, or leave the field empty for a new one."
    return Problems(slug=translate(language, said))


def contact_choices(sent: Typed, newsroom: Newsroom) -> list[tuple[str, dict[str, Any], bool]]:
    """Return the contacts to choose from as (value, fields, chosen): the newsroom's, and others already chosen."""
    theirs = [
        _packed({field: getattr(one, field) for field in ContactFields.model_fields}) for one in newsroom.contacts
    ]
    others = [value for value in dict.fromkeys(sent["contacts"]) if value not in theirs and _is_contact(value)]
    return [(value, _unpacked(value), value in sent["contacts"]) for value in [*theirs, *others]]


def lost_in_mail(body: str) -> list[str]:
    """Return what the text has that neither page nor mail can show: pictures, tables."""
    found = {"picture": _PICTURE, "table": _TABLE}
    return [name for name, pattern in found.items() if pattern.search(body)]


def differences(sent: Typed, there: Typed) -> list[tuple[str, str]]:
    """Return what is kept now where it differs from what was typed, as (field, text)."""
    plain = [(field, str(there[field])) for field in FIELDS if sent[field].strip() != str(there[field]).strip()]
    if sorted(sent["contacts"]) == sorted(there["contacts"]):
        return plain
    return [*plain, ("contacts", "\n".join(str(_unpacked(one).get("name", "")) for one in there["contacts"]))]


def _packed(contact: dict[str, Any]) -> str:
    fields = {field: contact.get(field) or "" for field in ContactFields.model_fields}
    return json.dumps(fields, ensure_ascii=False, sort_keys=True)


def _unpacked(value: str) -> dict[str, Any]:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_contact(value: str) -> bool:
    try:
        ContactFields.model_validate(_unpacked(value))
    except ValidationError:
        return False
    return True


def _shown_at(field: str) -> str:
    return field.partition(".")[0]
