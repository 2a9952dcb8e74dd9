"""What is wrong with a form has a sentence of its own, in the reader's language: every kind of mistake, every field."""

import ast
import inspect
import json
import re
from collections.abc import Callable, Iterator
from html import unescape
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError

from service import files, newsrooms, release_file
from service.i18n import translate
from service.newsrooms import NewsroomFile
from service.web.desk import problems
from service.web.desk.problems import OTHER, SAID
from tests.web.conftest import configure
from tests.web.desk.conftest import Person
from tests.web.desk.filled import form

ROOMS = {"sv": "norrvik", "fi": "karhula"}
AREAS = {"about", "address", "privacy.controller", "privacy.data_protection_officer"}
"""Fields of several lines, as long as one likes."""

CHOSEN_ALONE = {"slug_reserved"}
"""What a file may get wrong and a form cannot: a newsroom's slug stays."""


class Writer:
    """Somebody who makes every mistake in a newsroom's forms."""

    def __init__(self, person: Person, language: str) -> None:
        self.person, self.language = person, language
        self.room = f"/desk/{ROOMS[language]}"
        self.settings = form(person, f"{self.room}/settings")
        self.fields = {name for name in self.settings if name not in ("csrf", "keep", "read_at")}
        self.draft = form(person, f"{self.room}/releases/new", f"{self.room}/releases") | {"headline": "Bron öppnar"}
        self.told = set[str]()

    def change(self, wrong: dict[str, str]) -> set[str]:
        """Send the settings with mistakes and return the fields that are told."""
        return self._send("settings", self.settings | wrong)

    def write(self, wrong: dict[str, Any]) -> set[str]:
        """Send a draft with mistakes and return the fields that are told."""
        return self._send("releases", self.draft | wrong)

    def _send(self, path: str, fields: dict[str, Any]) -> set[str]:
        answer = self.person.client.post(f"{self.room}/{path}", data=fields)
        assert answer.status_code == 422
        found = re.findall(r'<li><a href="#([^"]+)">([^<]+)</a></li>', answer.text)
        self.told |= {self._message(unescape(said)) for _, said in found}
        return {field for field, _ in found}

    def _message(self, sentence: str) -> str:
        """Return the message that a sentence translates."""
        for message in SAID.values():
            pattern = re.escape(translate(self.language, message)).replace(re.escape("%(max_length)s"), r"\d+")
            if re.fullmatch(pattern, sentence):
                return message
        raise AssertionError(sentence)


def packed(**fields: str) -> str:
    return json.dumps({"name": "Nils Ek", "role": "", "phone": "", "email": ""} | fields)


@pytest.mark.parametrize("language", ROOMS)
def test_every_mistake_is_told_in_words(
    person: Callable[..., Person], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(person(newsroom=ROOMS[language]), language)
    people = {name for name in writer.fields if name.startswith("contacts.")}
    mails = {"sender.address", "bounce_address", *(name for name in people if name.endswith(".email"))}
    names = {"name", "timezone", "language", "sender.address", "contacts.0.name"}
    shaped = {"language", "timezone", "website", "accent", *mails}

    assert writer.change(dict.fromkeys(writer.fields, "a\x07b")) == writer.fields
    assert writer.change(dict.fromkeys(writer.fields, "a\nb")) == writer.fields - AREAS
    assert writer.change(dict.fromkeys(writer.fields, "x" * 6000)) == writer.fields - AREAS
    assert writer.change(dict.fromkeys(writer.fields, "<|>")) == shaped
    assert writer.change(dict.fromkeys(writer.fields, "") | {"sender.name": "x", "contacts.0.role": "x"}) == names
    assert writer.change({f"contacts.{row}.name": "x" for row in range(51)}) == {"contacts"}

    texts = {"headline", "slug", "lead", "keywords", "language", "kind"}
    assert writer.write(dict.fromkeys(writer.draft.keys() & {*texts, "body"}, "a\x07b")) == {*texts, "body"}
    assert writer.write(dict.fromkeys(texts, "a\nb")) == texts - {"lead", "keywords"}
    assert writer.write(dict.fromkeys(texts, "x" * 6000)) == texts
    assert writer.write({"body": "x" * 200_001}) == {"body"}
    assert writer.write(dict.fromkeys(texts, "<|>")) == {"slug", "language", "kind"}
    assert writer.write({"headline": " "}) == {"headline"}
    assert writer.write({"keywords": "x," * 31}) == {"keywords"}
    for wrong in (
        [packed()] * 21,
        packed(name=""),
        packed(phone="0" * 51),
        packed(role="a\nb"),
        packed(email="x"),
        "{}",
    ):
        assert writer.write({"contacts": wrong}) == {"contacts"}

    configure(monkeypatch, ALLOW_SMTPUTF8="1")
    senders = {"sender.address", "bounce_address"}
    assert writer.change(dict.fromkeys(senders, "åsa@example.org")) == senders
    assert writer.told == {message for kind, message in SAID.items() if kind not in CHOSEN_ALONE}


@pytest.mark.parametrize("language", ROOMS)
def test_every_sentence_is_translated(language: str) -> None:
    assert [message for message in (*SAID.values(), OTHER) if translate(language, message) == message] == []


def raised(module: ModuleType) -> Iterator[str]:
    """Return what a module's functions raise: the kind that a validator names, or else the words of the code."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            first = node.exc.args[0]
            known = ast.unparse(node.exc.func) == "PydanticCustomError" and isinstance(first, ast.Constant)
            yield str(first.value) if known and isinstance(first, ast.Constant) else ast.unparse(node.exc)


def test_every_kind_that_a_validator_raises_has_a_sentence() -> None:
    kinds = {kind for module in (files, newsrooms, release_file) for kind in raised(module)}
    assert {kind for kind in kinds - SAID.keys() if not re.match(r"FileError\(|yaml\.", kind)} == {
        "ValueError('the release has neither lead nor body')"  # of files alone: a draft may be empty
    }
    assert kinds >= {"several_lines", "slug_reserved", "choice"}


@pytest.mark.parametrize("zone", ["one line", "web address", "control characters", "must be one of", "%(max_length)s"])
def test_what_was_typed_does_not_choose_the_sentence(zone: str) -> None:
    with pytest.raises(ValidationError) as caught:
        NewsroomFile.model_validate({"slug": "norrvik", "name": "Norrvik", "language": "sv", "timezone": zone})
    assert problems.of(caught.value, "en") == {"timezone": SAID["time_zone"]}


def test_the_browser_leaves_the_settings_for_us_to_judge(person: Callable[..., Person]) -> None:
    """It would say so in its own language, and refuse addresses that mail can reach."""
    assert 'action="/desk/norrvik/settings" novalidate' in person().get("/desk/norrvik/settings").text
