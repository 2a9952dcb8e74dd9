"""The mailbox: a real process that takes mail and shows it, carefully."""

import smtplib
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import end, free_port, spawn, wait
from tests.stack import environment

HTML = '<!doctype html><html><head><title>x</title></head><body><a href="https://example.org/">a</a></body></html>'


class Mailbox:
    """A mailbox, and ways to send to it and look at it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.smtp, web = free_port(), free_port()
        self.environment = environment(folder / "var", mailbox_port=web, mailbox_smtp_port=self.smtp)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{web}", trust_env=False)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "service.cli.mailbox"]
        self.process = spawn(command, self.folder / "mailbox.log", cwd=self.folder, env=self.environment)
        wait(self._alive, what="the mailbox answers")

    def _alive(self) -> bool:
        try:
            return self.client.get("/healthz").is_success
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)

    def send(self, count: int = 1, content: bytes | None = None, to: str = "b{}@example.org", **options: Any) -> None:
        raw = content or example()
        with smtplib.SMTP("127.0.0.1", self.smtp) as smtp:
            for number in range(count):
                smtp.sendmail("sender@example.org", [to.format(number)], raw, **options)

    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get("/messages.json").json()
        return found


def example() -> bytes:
    message = EmailMessage()
    message["Subject"] = "Ny gångbro över älven"
    message["From"], message["To"] = "sender@example.org", "b@example.org"
    message.set_content("Läs mer: https://example.org/news?a=1&b=<2>.\n<script>alert(1)</script>\n")
    message.add_alternative(HTML, subtype="html")
    return message.as_bytes(policy=message.policy.clone(linesep="\r\n"))


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    made = Mailbox(tmp_path_factory.mktemp("mailbox"))
    made.start()
    assert made.client.get("/").text.count("No mail yet.") == 1
    yield made
    made.stop()


def test_the_very_bytes_come_back(mailbox: Mailbox) -> None:
    mailbox.send(content=b"Subject: dots\r\n\r\n.one\r\n..two\r\n", to="dots@example.org")
    newest = mailbox.messages()[0]
    assert (newest["to"], newest["subject"], newest["from"]) == ("dots@example.org", "dots", "sender@example.org")
    eml = mailbox.client.get(f"/messages/{newest['id']}.eml")
    assert eml.content == b"Subject: dots\r\n\r\n.one\r\n..two\r\n"
    assert eml.headers["content-type"] == "message/rfc822"
    assert "attachment" in eml.headers["content-disposition"]


def test_the_newest_500_are_kept_also_over_a_restart(mailbox: Mailbox) -> None:
    mailbox.send(600)
    before = mailbox.messages()
    assert len(before) == len(list((mailbox.folder / "var" / "mailbox").iterdir())) == 500
    assert before[0]["to"] == "b599@example.org" and before[-1]["to"] == "b100@example.org"
    mailbox.stop()
    mailbox.start()
    assert mailbox.messages() == before
    mailbox.send()
    assert mailbox.messages()[0]["id"] == before[0]["id"] + 1
    older = mailbox.client.get(f"/?before={before[400]['id']}").text
    assert "Older mail" in older and before[401]["to"] in older and before[400]["to"] not in older


def test_a_mails_html_is_shown_in_a_sandbox(mailbox: Mailbox) -> None:
    mailbox.send()
    number = mailbox.messages()[0]["id"]
    frame = mailbox.client.get(f"/messages/{number}").text
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in frame
    html = mailbox.client.get(f"/messages/{number}/html")
    policy = html.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "sandbox allow-popups" in policy
    assert "script" not in policy and "http" not in policy
    assert html.text.strip() == HTML.replace("<head>", '<head><base target="_blank">')


def test_the_text_part_has_links_and_nothing_else(mailbox: Mailbox) -> None:
    mailbox.send()
    page = mailbox.client.get(f"/messages/{mailbox.messages()[0]['id']}").text
    assert '<a href="https://example.org/news?a=1&amp;b=" target="_blank" rel="noopener noreferrer">' in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "<script" not in page
    assert "Ny gångbro över älven" in page and "MIME-Version: 1.0" in page


def test_an_international_address_is_taken(mailbox: Mailbox) -> None:
    mailbox.send(content="Subject: Hej Åsa\r\n\r\n".encode(), to="åsa@example.org", mail_options=["SMTPUTF8"])
    newest = mailbox.messages()[0]
    assert (newest["to"], newest["subject"]) == ("åsa@example.org", "Hej Åsa")


BROKEN = [b"\r\n", b"no header at all", b"Subject: =?x?q?y?=\r\n\r\n", b"Subject: \xff\r\n\xfe: \x00\r\n\r\n\xff"]


@pytest.mark.parametrize("raw", BROKEN)
def test_a_broken_mail_breaks_no_page(mailbox: Mailbox, raw: bytes) -> None:
    mailbox.send(content=raw)
    number = mailbox.messages()[0]["id"]
    for path in ("/", f"/messages/{number}", f"/messages/{number}.eml"):
        assert mailbox.client.get(path).status_code == 200


def test_head_answers_as_get(mailbox: Mailbox) -> None:
    mailbox.send()
    number = mailbox.messages()[0]["id"]
    paths = ("/", "/messages.json", "/style.css", *(f"/messages/{number}{end}" for end in ("", ".eml", "/html")))
    for path in paths:
        head, get = mailbox.client.head(path), mailbox.client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("path", ["/messages/999999", "/messages/0.eml", "/messages/x", "/nothing", "/?before=x"])
def test_what_is_not_there_is_said_kindly(mailbox: Mailbox, path: str) -> None:
    answer = mailbox.client.get(path)
    assert answer.status_code == 404 and "That mail is not here" in answer.text


def test_a_foreign_name_reads_nothing(mailbox: Mailbox) -> None:
    assert mailbox.client.get("/messages.json", headers={"Host": "rebound.example"}).status_code == 400


def test_it_stays_small(mailbox: Mailbox) -> None:
    assert mailbox.process is not None
    status = Path(f"/proc/{mailbox.process.pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    assert int(peak.split()[1]) < 150_000
