"""What a newsroom, a release and a follower do, through the command line, HTTP and their mail."""

import itertools
import json
import re
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import httpx

from tests.servers import Mail
from tests.stack import Stack

_numbers = itertools.count(1)

RELEASE = """---
newsroom: {newsroom}
slug: {slug}
headline: {headline}
lead: Från och med måndag är badet öppet för alla, varje dag.
keywords: [bad, öppettider]
contacts:
  - name: Maja Ström
    role: badchef
    phone: 070-174 06 10
    email: maja.strom@example.org
---

– Vi har längtat efter den här dagen, säger Maja Ström.

Läs mer på [badets sida](https://example.org/badet).
"""


@dataclass
class Room:
    """A newsroom of the test's own on a running installation."""

    stack: Stack
    slug: str
    name: str

    def url(self, path: str = "") -> str:
        """Return the path of one of its pages."""
        return f"/{self.slug}{path}"

    def follow(self, client: httpx.Client, address: str) -> httpx.Response:
        """Send the follow box."""
        return client.post(self.url("/subscribe"), data={"email": address})

    def import_followers(self, *addresses: str) -> None:
        """Enter followers as confirmed."""
        path = self.stack.folder / f"{self.slug}.csv"
        path.write_text("email\n" + "\n".join(addresses) + "\n", encoding="utf-8")
        self.stack.cli("subscribers", "import", path, "--newsroom", self.slug, "--consent", "de skrev upp sig på badet")

    def release_file(self, slug: str, headline: str = "Badet öppnar på måndag") -> Path:
        """Write a release's file."""
        path = self.stack.folder / f"{self.slug}-{slug}.md"
        path.write_text(RELEASE.format(newsroom=self.slug, slug=slug, headline=headline), encoding="utf-8")
        return path

    def publish(self, slug: str, *options: str, headline: str = "Badet öppnar på måndag") -> dict[str, object]:
        """Publish a release and return what --json says."""
        said = self.stack.cli("release", "publish", self.release_file(slug, headline), "--json", *options)
        found: dict[str, object] = json.loads(said.stdout)
        return found

    def books(self, dispatch: object) -> dict[str, object]:
        """Return what `dispatch show --json` says, and see that the books balance."""
        found: dict[str, object] = json.loads(self.stack.cli("dispatch", "show", str(dispatch), "--json").stdout)
        parts = sum(int(str(found[part])) for part in ("accepted", "refused", "skipped", "uncertain", "pending"))
        assert parts == (found["recipients"] or 0), found
        return found

    def states(self) -> dict[str, int]:
        """Return how many of its subscriptions are in each state."""
        rows = self.stack.rows(
            "SELECT s.state, count(*) AS n FROM subscriptions s JOIN newsrooms r ON r.id = s.newsroom_id"
            " WHERE r.slug = :slug GROUP BY s.state",
            slug=self.slug,
        )
        return {row["state"]: row["n"] for row in rows}


def room(stack: Stack, **fields: str) -> Room:
    """Make a newsroom of the test's own."""
    slug = f"badet-{next(_numbers)}"
    name = fields.pop("name", "Björkviks kommun")
    lines = {"slug": slug, "name": name, "language": "sv", "timezone": "Europe/Stockholm", **fields}
    path = stack.folder / f"{slug}.yaml"
    path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in lines.items()), encoding="utf-8")
    stack.cli("newsroom", "load", path)
    return Room(stack, slug, name)


def link(message: EmailMessage, kind: str) -> str:
    """Return the path of the confirm or unsubscribe link in a mail's text part."""
    part = message.get_body(("plain",))
    assert part is not None
    found = re.search(rf"https?://[^\s/]+(/{kind}/[\w.\-]+)", part.get_content())
    assert found, part.get_content()
    return found[1]


def newest(mails: list[Mail]) -> EmailMessage:
    """Return the last mail, parsed."""
    return mails[-1].message
