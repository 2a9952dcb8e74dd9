"""What a form sent: its fields as text, whatever came."""

from dataclasses import dataclass

from fastapi import Request
from starlette.exceptions import HTTPException as StarletteHTTPException

from service.web.door import LARGEST_AT_DESK

MOST_FIELDS = 1000
SECRETS = ("csrf", "password")
"""Fields, by how their names begin, that are never shown again."""


@dataclass(frozen=True)
class Form:
    """The fields in their order; one that is missing is empty."""

    pairs: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """Return a field's first value."""
        return next((value for found, value in self.pairs if found == name), "")

    def all(self, name: str) -> list[str]:
        """Return all values of a field."""
        return [value for found, value in self.pairs if found == name]

    @property
    def kept(self) -> list[tuple[str, str]]:
        """What a page may carry on for somebody who must log in first: no password, no proof."""
        return [(name, value) for name, value in self.pairs if not name.startswith(SECRETS)]


async def read_form(request: Request) -> Form:
    """Return the form of a request; one that cannot be read, or none, is empty. Files are left out."""
    if request.method != "POST":
        return Form()
    try:
        sent = await request.form(max_files=0, max_fields=MOST_FIELDS, max_part_size=LARGEST_AT_DESK)
        pairs = [(name, value) for name, value in sent.multi_items() if isinstance(value, str)]
        "".join(name + value for name, value in pairs).encode()  # half a surrogate pair is no text
    except StarletteHTTPException as refused:
        if refused.status_code != 400:
            raise
        return Form()
    except (ValueError, LookupError):  # a charset that Python knows but that is no text encoding, or yields no text
        return Form()
    return Form(tuple((name, value.replace("\r\n", "\n")) for name, value in pairs))
