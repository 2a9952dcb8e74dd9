"""What is wrong with a form, said in the reader's language, by field."""

from typing import Any

from pydantic import ValidationError

from service.i18n import translate

SAID = {
    "missing": "Fill in this field.",
    "string_too_short": "Fill in this field.",
    "string_too_long": "This is too long. At most %(max_length)s characters fit.",
    "too_long": "There are too many. At most %(max_length)s fit.",
    "literal_error": "Choose one of those offered.",
    "string_pattern_mismatch": "Write the colour like #1f5f4a.",
}
"""What pydantic finds, by its type, as we say it."""

FOUND = {
    "one line": "Write it on one line.",
    "control characters": "There are hidden characters in it. Type it by hand instead of pasting it.",
    "not an email address": "The address does not look right. Write it like name@example.org.",
    "must be without": ("An address that mail comes from must be without å, ä, ö and the like before the @ sign."),
    "web address": "Write a web address that begins with https://.",
    "single hyphens": "Use a–z, 0–9 and single hyphens.",
    "not a time zone": "That is not a time zone. Write it like Europe/Stockholm.",
    "must be one of": "Choose one of those offered.",
}
"""What our own validators find, by words of theirs."""

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
    own = (said for words, said in FOUND.items() if words in str(one["msg"]))
    kind = one["type"]
    if kind in ("too_long", "too_short") and one["ctx"].get("field_type") != "List":
        kind = f"string_{kind}"  # a text whose length is looked at after it was cleaned
    message = SAID.get(kind) or next(own, OTHER)
    return translate(language, message, **one.get("ctx", {}))
