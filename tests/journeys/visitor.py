"""Visitors in headless Chromium: a person who notices what is amiss, and a scanner that opens everything."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import httpx
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, Route, sync_playwright

from tests.servers import require

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-proxy-server",
]  # fmt: skip
PHONE, DESKTOP = 375, 1280
PARTIAL = {"rules": {rule: {"enabled": False} for rule in ("landmark-one-main", "region")}}
"""A mail is shown within a page that has the landmarks."""
DEPTH = 3
TOUCH_ALL = """() => document.querySelectorAll("*").forEach(element => {
  for (const kind of ["mouseover", "mouseenter", "mousemove", "focus", "touchstart"])
    element.dispatchEvent(new Event(kind, {bubbles: true}));
})"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium of our own; Missing names the Debian package."""
    path = require("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Visitor:
    """One person with one window of a certain width."""

    def __init__(self, browser: Browser, width: int = DESKTOP) -> None:
        self.width = width
        self.complaints: list[str] = []
        self.expected: set[int] = {200, 202}
        self.context = browser.new_context(
            viewport={"width": width, "height": 812 if width == PHONE else 900},
            reduced_motion="reduce",
            locale="sv-SE",
            timezone_id="Europe/Stockholm",
        )
        self.context.set_default_timeout(10_000)
        self.context.on("request", self._request)
        self.context.on("requestfailed", lambda request: self._complain(f"failed: {request.url} {request.failure}"))
        self.context.on("response", self._response)
        self.context.on("console", self._console)
        self.context.on("weberror", lambda error: self._complain(f"script: {error.error}"))
        self.page = self.context.new_page()

    def _complain(self, what: str) -> None:
        self.complaints.append(what)

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data" and parts.hostname != "127.0.0.1":
            self._complain(f"foreign: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status not in self.expected:
            self._complain(f"{response.status}: {response.url}")

    def _console(self, message: ConsoleMessage) -> None:
        # Chromium itself logs a page that is meant to answer 422 as an error.
        ours = "Failed to load resource" in message.text and any(f" {code} " in message.text for code in self.expected)
        if message.type in ("error", "warning") and not ours:
            self._complain(f"console: {message.text}")

    def look(self, name: str, page: Page | None = None, *, partial: bool = False) -> None:
        """Look closely at a page: axe by day and by night, its width, and a picture where one is asked for."""
        page = page or self.page
        found = Axe().run(page, options=PARTIAL if partial else {})
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"
        self._picture(page, f"{name}-{self.width}-light")
        page.emulate_media(color_scheme="dark")
        # axe is in the page already, and by night nothing but the colours is different.
        faint = page.evaluate("axe.run({runOnly: ['color-contrast']}).then(found => found.violations)")
        assert faint == [], f"{name} by night: {faint}"
        self._picture(page, f"{name}-{self.width}-dark")
        page.emulate_media(color_scheme="light")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= self.width, f"{name} is {wide} px wide at {self.width}"

    def _picture(self, page: Page, name: str) -> None:
        if folder := os.environ.get("UTSKICK_TEST_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)

    def close(self) -> None:
        """Close the window; nothing may have been amiss."""
        self.context.close()
        assert self.complaints == [], self.complaints


class Scanner:
    """What a mail gateway does: opens every link with scripts on and touches everything, but sends no form."""

    def __init__(self, browser: Browser, site: str) -> None:
        self.site, self.opened, self.methods = site, set[str](), set[str]()
        self.page = browser.new_context().new_page()
        self.page.route("**/*", self._stay)

    def _stay(self, route: Route) -> None:
        self.methods.add(route.request.method)
        route.continue_() if self._is_ours(route.request.url) else route.abort()

    def _is_ours(self, url: str) -> bool:
        return url.startswith(f"{self.site}/")

    def scan(self, links: set[str]) -> None:
        """Open links, the links on those pages, and theirs."""
        for _ in range(DEPTH):
            links = {urldefrag(link)[0] for link in links if self._is_ours(link)} - self.opened
            links = {found for link in sorted(links) for found in self._open(link)}

    def _open(self, link: str) -> list[str]:
        self.opened.add(link)
        self.page.goto(link)
        self.page.evaluate(TOUCH_ALL)
        for button in self.page.get_by_role("button").all():
            button.hover()
        found: list[str] = self.page.evaluate("Array.from(document.links, link => link.href)")
        return found


def links_of(url: str) -> set[str]:
    """Return every link of a mail: of both parts and the header."""
    mail = message_from_bytes(httpx.get(f"{url}.eml", trust_env=False).content, policy=policy.default)
    parts = [str(part.get_content()) for part in mail.walk() if part.get_content_maintype() == "text"]
    found = re.findall(r'https?://[^\s<>"]+', " ".join([*parts, str(mail["List-Unsubscribe"])]))
    return {link.rstrip(".,") for link in found}
