"""YAML files and Markdown files with YAML front matter, read so that an error names file, line and field."""

import re
import unicodedata
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from service import address

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""What a newsroom or a release is called in an address."""

LARGEST = 1_000_000
"""Bytes in a file; a press release is text."""

_FRONT = re.compile(r"\A---[ \t]*\n(?P<front>(?:[^\n]*\n)*?)---[ \t]*(?:\n|\Z)")
_WORDS = {
    "extra_forbidden": "unknown field",
    "missing": "the field is missing",
    "string_type": "it must be text; put quotes around it",
    "string_unicode": "it holds half a character",
    "list_type": "it must be a list",
    "model_type": "it must hold fields",
    "model_attributes_type": "it must hold fields",
}


class FileError(Exception):
    """What is wrong with a file: `name:line: field: message`."""

    def __init__(self, name: str, line: int, field: str, message: str) -> None:
        place = f"{name}:{line}" if line else name
        super().__init__(f"{place}: {field + ': ' if field else ''}{message}")
        self.name, self.line, self.field, self.message = name, line, field, message


# What a validator finds it names by a kind: problems.py at the desk has a sentence for each.


def _single_line(value: str) -> str:
    if len(value.splitlines()) > 1:
        raise PydanticCustomError("several_lines", "it must be one line")
    return _without_controls(value, "")


def _clean(value: str) -> str:
    return _without_controls(value.replace("\r\n", "\n"), "\n\t").strip()


def _without_controls(value: str, allowed: str) -> str:
    if any(unicodedata.category(char) in ("Cc", "Cs") and char not in allowed for char in value):
        raise PydanticCustomError("control_characters", "it holds control characters")
    return value


def _email(value: str) -> str:
    if not value:
        return value
    try:
        return address.parse(value).text
    except address.BadAddress:
        raise PydanticCustomError("email", "{value} is not an email address", {"value": repr(value)}) from None


def _ascii(value: str) -> str:
    if not value.isascii():
        said = "an address that mail comes from must be without å, ä, ö and the like before the @"
        raise PydanticCustomError("sender_email", said)
    return value


_WEB = r"https?://[^\s\x00-\x20\x7f-\xa0\ufeff<>\"]+"


def _web(value: str) -> str:
    if value and not re.fullmatch(_WEB, value):
        raise PydanticCustomError("web_address", "it must be a web address that begins with https://")
    return value


_HIDDEN = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
_NO_LINE = rf"\t\n{_HIDDEN}\u2028\u2029"
_SPACE = r" \xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    AfterValidator(_single_line),
    Field(json_schema_extra={"pattern": rf"^[^{_NO_LINE}]*$"}),
]
Words = Annotated[
    Line,
    StringConstraints(min_length=1),
    Field(json_schema_extra={"pattern": rf"^[^{_NO_LINE}]*[^{_NO_LINE}{_SPACE}][^{_NO_LINE}]*$"}),
]
"""A line that says something."""

Prose = Annotated[str, AfterValidator(_clean), Field(json_schema_extra={"pattern": rf"^([^{_HIDDEN}]|\r\n)*$"})]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=320),
    AfterValidator(_email),
    Field(json_schema_extra={"anyOf": [{"const": ""}, {"format": "email"}]}),
]
SenderEmail = Annotated[Email, AfterValidator(_ascii)]
WebAddress = Annotated[
    Line,
    StringConstraints(max_length=500),
    AfterValidator(_web),
    Field(json_schema_extra={"pattern": f"^({_WEB})?$"}),
]


class Fields(BaseModel):
    """A file's fields: typed, immutable, nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ContactFields(Fields):
    """Somebody whom journalists may call."""

    name: Annotated[Words, StringConstraints(max_length=200)]
    role: Annotated[Line, StringConstraints(max_length=300)] = ""
    phone: Annotated[Line, StringConstraints(max_length=50)] = ""
    email: Email = ""


class _Loader(yaml.SafeLoader):
    """YAML without dates (a time is text until the newsroom's zone is known), tags and aliases (they grow and grow)."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) or getattr(event, "anchor", None):
            raise yaml.composer.ComposerError(
                None, None, "&, * and ! have no use here; put quotes around them", event.start_mark
            )
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

Model = TypeVar("Model", bound=Fields)


def read(path: Path, largest: int = LARGEST) -> str:
    """Return a file's text with LF line ends; raise FileError where it is missing, too large or not UTF-8."""
    try:
        with path.open("rb") as opened:
            raw = opened.read(largest + 1)
    except OSError as error:
        raise FileError(str(path), 0, "", error.strerror or "it cannot be read") from None
    if len(raw) > largest:
        raise FileError(str(path), 0, "", f"it is larger than {largest:,} bytes")
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise FileError(str(path), line, "", "it is not UTF-8 text") from None


def split_front_matter(text: str, name: str) -> tuple[str, str]:
    """Return the YAML front matter (behind one blank line, so that its lines count right) and the Markdown below."""
    found = _FRONT.match(text)
    if found is None and text.partition("\n")[0].rstrip() == "---":
        raise FileError(name, 1, "", "the front matter begins here and is never closed by a line of ---")
    if found is None:
        raise FileError(name, 1, "", "the front matter is missing: the file begins with --- and fields, then --- again")
    return "\n" + found["front"], text[found.end() :]


def parse_yaml(model: type[Model], text: str, name: str, **beside: str) -> Model:
    """Return a YAML text, and fields that stand beside it, as a model; raise FileError for the first wrong thing."""
    lines, found = _load(text, name)
    for field in beside.keys() & found.keys():
        raise FileError(name, lines[(field,)], field, "unknown field")
    try:
        return model.model_validate(found | beside)
    except ValidationError as error:
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")  # a typo explains the rest
        raise FileError(name, _line_of(lines, first["loc"]), _field(first["loc"]), _say(first)) from None


def _load(text: str, name: str) -> tuple[dict[tuple[Any, ...], int], Any]:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines = {(): 1} | ({} if node is None else dict(_lines(node, (), name)))
        found = {} if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        if "mapping values" in str(error.problem):
            raise FileError(
                name, line, "", "not valid YAML: for a text with a colon in it, put quotes around it"
            ) from None
        raise FileError(name, line, "", f"not valid YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise FileError(name, line, "", f"not valid YAML: the character #x{error.character:04x}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FileError(name, 1, "", f"not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(found, dict):
        raise FileError(name, 1, "", "it must hold fields, like `name: Example`")
    return lines, found


def _lines(node: yaml.Node, path: tuple[Any, ...], name: str) -> list[tuple[tuple[Any, ...], int]]:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        pairs, seen = [(path, line)], set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise FileError(name, key.start_mark.line + 1, "", "a field's name must be text")
            if key.value in seen or not key.tag.endswith(":str"):
                said = "the field stands there twice" if key.value in seen else "unknown field"
                raise FileError(name, key.start_mark.line + 1, key.value, said)
            seen.add(key.value)
            pairs += [*_lines(value, (*path, key.value), name), ((*path, key.value), key.start_mark.line + 1)]
        return pairs
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    return [(path, line), *(pair for index, item in enumerate(items) for pair in _lines(item, (*path, index), name))]


def _line_of(lines: dict[tuple[Any, ...], int], loc: tuple[Any, ...]) -> int:
    while loc not in lines:
        loc = loc[:-1]
    return lines[loc]


def _field(loc: tuple[Any, ...]) -> str:
    return ".".join(str(part + 1) if isinstance(part, int) else str(part) for part in loc)


def _say(error: Any) -> str:
    return _WORDS.get(error["type"], str(error["msg"]).removeprefix("Value error, "))
