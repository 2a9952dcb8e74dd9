"""What is wrong with a form, said in the reader's language, by field."""

from typing import Any

from pydantic import ValidationError

from service.i18n import translate

SAID = {
    "missing": "Fill in this field.",
    "string_too_short": "Fill in this field.",
    "string_too_long": "This is too long. At most %(max_length)s characters fit.",
    "too_long": "There are too many. At most %(max_length)s fit.",
}
"""What pydantic finds, as we say it; our own findings are sentences already."""


def of(error: ValidationError, language: str) -> dict[str, str]:
    """Return a sentence for each field that is wrong: the first thing wrong with it."""
    found: dict[str, str] = {}
    for one in error.errors():
        field = ".".join(str(part) for part in one["loc"]) or "form"
        found.setdefault(field, _say(dict(one), language))
    return found


def _say(one: dict[str, Any], language: str) -> str:
    message = SAID.get(one["type"], str(one["msg"]).removeprefix("Value error, "))
    return translate(language, message, **one.get("ctx", {}))
