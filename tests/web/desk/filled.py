"""A form as a browser sends it when nobody has touched it."""

import re
from html.parser import HTMLParser

from tests.web.desk.conftest import Person

BLANKS = " \t\n\f\r"


class Filled(HTMLParser):
    """The fields of a page's form: what a browser makes of them is what HTML says (4.10.5.1, 4.10.11, 4.10.22.4)."""

    def __init__(self, html: str, action: str) -> None:
        super().__init__()
        self.action, self.inside, self.name = action, False, ""
        self.fields: dict[str, str] = {}
        self.select, self.text = "", ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.inside = given.get("action") == self.action
        if not self.inside:
            return
        if tag == "input" and given.get("name"):
            self.fields[given["name"]] = sent(given.get("type", "text"), given.get("value", ""))
        if tag == "textarea":
            self.name, self.text = given["name"], ""
        if tag == "select":
            self.select = given["name"]
        if tag == "option" and "selected" in given:
            self.fields[self.select] = given["value"]

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self.inside:
            self.fields[self.name] = crlf(self.text.removeprefix("\n"))


def sent(kind: str, value: str) -> str:
    """Return what an input of a type sends for the value that its page gave it."""
    if kind == "hidden":
        return crlf(value)
    kept = re.sub(r"[\r\n]", "", value)
    return kept.strip(BLANKS) if kind in ("email", "url") else kept


def crlf(text: str) -> str:
    """Return a text with the line ends that browsers send."""
    return re.sub(r"\r\n|\r|\n", "\r\n", text)


def form(person: Person, path: str, action: str = "") -> dict[str, str]:
    """Return the fields of a page's form."""
    return Filled(person.get(path).text, action or path).fields
