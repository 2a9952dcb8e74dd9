"""Drives a real demo as a person would: follow, confirm, publish, read the mail, leave, stop.

`python tests/demo_drive.py --utskick .venv/bin/utskick -- make run`. Nothing but the standard library, so
that any Python can run it beside any installation.
"""

import argparse
import json
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

ADDRESS = "Nils.Holm@example.org"
MARK = "UTSKICK_TEST_MARK"
WEB = build_opener(ProxyHandler({}))

RELEASE = """---
headline: {headline}
kind: news
lead: The drive published this to see whether it arrives.
keywords: [drive]
contacts:
  - name: Maja Berg
    role: press officer
    email: maja.berg@example.org
---

The first paragraph, with [a link](https://example.org/) in it.
"""


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"demo: {text}\n")
    sys.stdout.flush()


def free_port() -> int:
    """Return a port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Form:
    """One form of a page."""

    action: str
    method: str = "get"
    fields: dict[str, str] = field(default_factory=dict)


class Page(HTMLParser):
    """The links and forms of a page."""

    def __init__(self, url: str, html: str) -> None:
        super().__init__()
        self.url = url
        self.links: list[str] = []
        self.forms: list[Form] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what a person can click or fill in."""
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in given:
            self.links.append(urljoin(self.url, given["href"]))
        if tag == "form":
            action = urljoin(self.url, given.get("action", ""))
            self.forms.append(Form(action, given.get("method", "get").lower()))
        if tag in ("input", "button") and given.get("name") and self.forms:
            self.forms[-1].fields[given["name"]] = given.get("value", "")

    def form(self, path: str) -> Form:
        """Return the form that posts to such a path."""
        posts = (form for form in self.forms if form.method == "post")
        return next(form for form in posts if path in urlsplit(form.action).path)


def fetch(url: str, data: dict[str, str] | None = None, expect: int = 200) -> tuple[str, bytes]:
    """GET, or POST a form, and return where we landed and what it said."""
    request = Request(url, None if data is None else urlencode(data).encode())
    try:
        with WEB.open(request, timeout=20) as answer:
            status, landed, body = answer.status, answer.url, answer.read()
    except HTTPError as error:
        status, landed, body = error.code, url, error.read()
    said = f"{request.get_method()} {url}: {status}, not {expect}\n{body[:2000].decode(errors='replace')}"
    assert status == expect, said
    return landed, body


def page(url: str, data: dict[str, str] | None = None, expect: int = 200) -> Page:
    """GET, or POST a form, and return the page."""
    landed, body = fetch(url, data, expect)
    return Page(landed, body.decode())


def quiet(url: str) -> bytes:
    """GET; nothing where nobody answers yet."""
    try:
        return fetch(url)[1]
    except (URLError, OSError, AssertionError):
        return b""


class Demo:
    """A running demo, its output and its mailbox."""

    def __init__(self, command: list[str], utskick: str, start_in: Path, folder: Path) -> None:
        self.utskick, self.start_in, self.folder = utskick, start_in, folder
        ports = {name: free_port() for name in ("PORT", "MAILBOX_PORT", "MAILBOX_SMTP_PORT")}
        self.site = f"http://127.0.0.1:{ports['PORT']}"
        self.mailbox = f"http://127.0.0.1:{ports['MAILBOX_PORT']}"
        self.mark = secrets.token_hex(8)
        ours = ("UTSKICK_", "MAKE")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        given = {f"UTSKICK_{name}": str(value) for name, value in ports.items()}
        given["UTSKICK_VAR_DIR"] = str(folder / "var")
        self.environment = clean | given | {MARK: self.mark}
        self.output = folder / "demo.log"
        self.started = time.monotonic()
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                command,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                cwd=start_in,
                env=self.environment,
                start_new_session=True,
            )

    def wait(self, condition: Callable[[], Any], timeout: float, what: str) -> Any:
        """Ask until it is true; fail with the demo's own words."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if said := condition():
                return said
            assert self.process.poll() is None, f"the demo ended while we waited for {what}\n{self.tail()}"
            select.select([], [], [], 0.2)
        raise AssertionError(f"not within {timeout:g} s: {what}\n{self.tail()}")

    def tail(self) -> str:
        """Return the last lines it said."""
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-60:])

    def cli(self, *args: str) -> Any:
        """Run a command of it and return what it says as JSON."""
        command = [self.utskick, *args, "--json"]
        where: dict[str, Any] = {"cwd": self.start_in, "env": self.environment}
        done = subprocess.run(command, **where, check=False, capture_output=True, text=True, timeout=120)
        said = f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}\n{self.tail()}"
        assert done.returncode == 0, said
        return json.loads(done.stdout)

    def everything(self) -> list[dict[str, Any]]:
        """Return what the mailbox has."""
        found: list[dict[str, Any]] = json.loads(quiet(f"{self.mailbox}/messages.json") or b"[]")
        return found

    def mails(self, to: str = ADDRESS) -> list[dict[str, Any]]:
        """Return what the mailbox has for an address."""
        return [mail for mail in self.everything() if to.lower() in str(mail["to"]).lower()]

    def read(self, mail: dict[str, Any]) -> EmailMessage:
        """Return a mail as it arrived."""
        content = fetch(f"{self.mailbox}/messages/{mail['id']}.eml")[1]
        return message_from_bytes(content, policy=policy.default)

    def wait_for_mail(self, subject: str) -> EmailMessage:
        """Wait for the next mail to us; a subject, where we know it."""

        def came() -> list[dict[str, Any]]:
            return [mail for mail in self.mails() if subject in str(mail["subject"])]

        return self.read(self.wait(came, 60, f"the mail {subject!r}")[0])

    def left(self) -> list[str]:
        """Return the command lines of what still runs with our mark in its environment."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip())
            except OSError:
                continue
        return [line for line in found if line]

    def interrupt(self) -> float:
        """Press Ctrl-C, wait until nothing of it is left, and return how long that took."""
        before = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(20)
        took = time.monotonic() - before
        until = time.monotonic() + 3
        while self.left() and time.monotonic() < until:
            select.select([], [], [], 0.1)
        assert self.left() == [], self.left()
        words = self.output.read_text(errors="replace")
        assert "make: ***" not in words and "Traceback" not in words, self.tail()
        code = self.process.returncode
        assert code in (0, 130, -signal.SIGINT), f"exit {code}\n{self.tail()}"
        return took

    def give_up(self) -> None:
        """End what is left, by pid, after a failure."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)


def text_of(mail: EmailMessage) -> str:
    """Return the text part."""
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def follow(demo: Demo) -> str:
    """Type an address on the newsroom's page, confirm from the mail; return the newsroom's slug."""
    newsroom = page(f"{demo.site}/")
    if not any("/subscribe" in form.action for form in newsroom.forms):
        newsroom = page(next(link for link in newsroom.links if urlsplit(link).path.strip("/").isalnum()))
    form = newsroom.form("/subscribe")
    fetch(form.action, form.fields | {"email": ADDRESS}, expect=202)
    link = re.search(rf"{re.escape(demo.site)}/confirm/\S+", text_of(demo.wait_for_mail("")))
    assert link, "no confirm link in the mail"
    button = page(link[0]).form("/confirm/")
    fetch(button.action, button.fields)
    return urlsplit(form.action).path.strip("/").split("/")[0]


def publish(demo: Demo, newsroom: str, headline: str) -> dict[str, Any]:
    """Publish a release from a file and wait until it is mailed; return its books."""
    file = demo.folder / f"{headline.lower().replace(' ', '-')}.md"
    file.write_text(RELEASE.format(headline=headline), encoding="utf-8")
    told = demo.cli("release", "publish", str(file), "--newsroom", newsroom, "--wait")
    assert headline.encode() in fetch(told["url"])[1]
    books: dict[str, Any] = demo.cli("dispatch", "show", str(told["dispatch"]))
    assert books["state"] == "finished" and books["accepted"] == books["recipients"] > 0, books
    return books


def leave(mail: EmailMessage) -> None:
    """Press the mail program's own leave button (RFC 8058), twice."""
    link = re.search(r"<(https?://[^>]+)>", str(mail["List-Unsubscribe"]))
    assert link and mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click", mail.items()
    for _ in range(2):
        fetch(link[1], {"List-Unsubscribe": "One-Click"})


def drive(demo: Demo) -> None:
    """Do the main job, end to end."""
    demo.wait(lambda: quiet(f"{demo.site}/readyz"), 300, "the web site")
    say(f"ready after {time.monotonic() - demo.started:.0f} s")
    demo.wait(demo.everything, 60, "the first mail in the mailbox")
    say(f"mail in the mailbox after {time.monotonic() - demo.started:.0f} s")
    newsroom = follow(demo)
    say(f"followed {newsroom} and confirmed")
    first = publish(demo, newsroom, "The first drive")
    mail = demo.wait_for_mail("The first drive")
    assert "The first paragraph" in text_of(mail)
    say(f"published; read it as one of {first['recipients']}")
    leave(mail)
    second = publish(demo, newsroom, "The second drive")
    assert second["recipients"] == first["recipients"] - 1, (first, second)
    assert not [mail for mail in demo.mails() if "The second drive" in str(mail["subject"])]
    say("left with one click; the next release did not come")


def main() -> None:
    """Run one drive and leave nothing behind."""
    parser = argparse.ArgumentParser(description="Drive a real demo as a person would.")
    parser.add_argument("--utskick", required=True, help="the command, for the command line's part")
    parser.add_argument("--directory", default=".", help="where it is started: a checkout, or an empty one")
    parser.add_argument("command", nargs="+", help="what starts the demo, behind --")
    options = parser.parse_args()
    utskick = str(Path(options.utskick).absolute())
    with tempfile.TemporaryDirectory(prefix="utskick-drive-") as folder:
        demo = Demo(options.command, utskick, Path(options.directory).absolute(), Path(folder))
        try:
            drive(demo)
            say(f"Ctrl-C: all gone within {demo.interrupt():.1f} s")
        finally:
            demo.give_up()


if __name__ == "__main__":
    main()
