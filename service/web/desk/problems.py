"""What is wrong with a form, said in the reader's language, by field."""

from typing import Any

from pydantic import ValidationError

from service.i18n import translate

SAID = {
    "missing": "Fill in this field.",
    "string_too_short": "Fill in this field.",
    "string_too_long": "This is too long. At most %(max_length)s characters fit.",
    "keyword_too_long": "One of the keywords is too long. Put commas between them. "
    "Each may have at most %(max_length)s characters.",
    "too_long": "There are too many. At most %(max_length)s fit.",
    "literal_error": "Choose one of those offered.",
    "choice": "Choose one of those offered.",
    "several_lines": "Write it on one line.",
    "control_characters": "There are hidden characters in it. Type it by hand instead of pasting it.",
    "email": "The address does not look right. Write it like name@example.org.",
    "sender_email": "An address that mail comes from must be without å, ä, ö and the like before the @ sign.",
    "web_address": "Write a web address that begins with https://.",
    "slug": "Use a–z, 0–9 and single hyphens.",
    "slug_reserved": "The site itself uses that name. Choose another.",
    "time_zone": "That is not a time zone. Write it like Europe/Stockholm.",
    "colour": "Write the colour like #1f5f4a.",
}
"""What pydantic and our own validators find, by its kind, as we say it."""

OTHER = "This cannot be used as it is."


class Problems(dict[str, str]):
    """A sentence for each field that is wrong; a field that is not has an empty one."""

    def __missing__(self, field: str) -> str:
        return ""


def of(error: ValidationError, language: str) -> Problems:
    """Return a sentence for each field that is wrong: the first thing wrong with it."""
    found = Problems()
    for one in error.errors():
        field = ".".join(str(part) for part in one["loc"]) or "form"
        found.setdefault(field, _say(dict(one), language))
    return found


def _say(one: dict[str, Any], language: str) -> str:
    kind = one["type"]
    if kind in ("too_long", "too_short") and one["ctx"].get("field_type") != "List":
        kind = f"string_{kind}"  # a text whose length is looked at after it was cleaned
    if kind == "string_too_long" and isinstance(one["loc"][-1], int):
        kind = "keyword_too_long"  # the one list of texts
    return translate(language, SAID.get(kind, OTHER), **one.get("ctx", {}))
