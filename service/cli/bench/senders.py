"""Senders that keep no books, each as a sensible script would be written, over one kept connection.

`python -m service.cli.bench.senders NAME PORT MAILS` sends the release's mail and prints its lap.
"""

import smtplib
import sys
from abc import ABC, abstractmethod
from email import charset, message_from_bytes, policy
from email.generator import BytesGenerator
from email.header import Header
from email.message import EmailMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import formataddr, formatdate, make_msgid, parseaddr
from io import BytesIO
from typing import SupportsBytes

from jinja2 import Environment, Template

from service import mail, tokens
from service.cli.bench import press
from service.cli.bench.installation import SITE
from service.cli.bench.lap import Follower, followers, timed
from service.cli.bench.relays import HOST
from service.mail import Compiled

LINK = "{{ leave_url }}"
DOMAIN = SITE.removeprefix("https://")
LONGEST_LINE = 998
"""Characters (RFC 5322 §2.1.1); Django sends a part with longer ones as quoted-printable, others as they are."""


def _leave_url(token: str) -> str:
    return f"{SITE}/unsubscribe/{token}"


class Script:
    """What a script has of the release: its mail, opened, with `LINK` where followers differ."""

    def __init__(self, compiled: Compiled) -> None:
        token = tokens.TEST_LEAVE_TOKEN
        content = mail.join(compiled.content, address="somebody@example.org", public_id="x", leave_token=token)
        opened = message_from_bytes(content, policy=policy.default)
        self.text, self.html = (self._part(opened, kind, _leave_url(token)) for kind in ("plain", "html"))
        self.sender, self.subject, self.bounces = str(opened["From"]), str(opened["Subject"]), compiled.sender

    @staticmethod
    def _part(opened: EmailMessage, kind: str, leave_url: str) -> str:
        part = opened.get_body((kind,))
        assert part is not None  # noqa: S101 - every release has both
        return str(part.get_content()).replace("\r\n", "\n").replace(leave_url, LINK)


class Sender(ABC):
    """One way to make a mail and to hand it over."""

    @abstractmethod
    def send(self, wire: smtplib.SMTP, one: Follower) -> SupportsBytes:
        """Send one follower's mail and return it."""


class Naive(Sender):
    """Jinja, EmailMessage and smtplib. Each template is the finished text with one variable: there is none cheaper."""

    def __init__(self, compiled: Compiled) -> None:
        self.script = Script(compiled)
        self.text, self.html = self._template(self.script.text), self._template(self.script.html)

    @staticmethod
    def _template(text: str) -> Template:
        parts = (f"{{% raw %}}{part}{{% endraw %}}" for part in text.split(LINK))
        return Environment(autoescape=True).from_string(LINK.join(parts))

    def send(self, wire: smtplib.SMTP, one: Follower) -> SupportsBytes:
        """Render, build and send."""
        leave_url = _leave_url(one.leave_token)
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.script.sender, one.address, self.script.subject
        message["Date"], message["Message-ID"] = formatdate(localtime=True), make_msgid(domain=DOMAIN)
        message["List-Unsubscribe"] = f"<{leave_url}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content(self.text.render(leave_url=leave_url))
        message.add_alternative(self.html.render(leave_url=leave_url), subtype="html")
        wire.send_message(message, self.script.bounces, [one.address])
        return message


class DjangoStyle(Sender):
    """What Django 5's EmailMultiAlternatives does for each mail, written with the standard library alone.

    Text and HTML are there and get their link by `replace`; nothing is rendered, and no mail is kept (`locmem`).
    """

    def __init__(self, compiled: Compiled) -> None:
        self.script = Script(compiled)

    def send(self, wire: smtplib.SMTP, one: Follower) -> SupportsBytes:
        """Build and send."""
        leave_url = _leave_url(one.leave_token)
        message = MIMEMultipart("alternative")
        message.attach(self._part(self.script.text.replace(LINK, leave_url), "plain"))
        message.attach(self._part(self.script.html.replace(LINK, leave_url), "html"))
        message["Subject"] = Header(self.script.subject, "utf-8").encode()
        message["From"], message["To"] = self._sanitized(self.script.sender), self._sanitized(one.address)
        message["Date"], message["Message-ID"] = formatdate(localtime=False), make_msgid(domain=DOMAIN)
        message["List-Unsubscribe"] = f"<{leave_url}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        made = BytesIO()
        BytesGenerator(made, mangle_from_=False).flatten(message, linesep="\r\n")
        wire.sendmail(self.script.bounces, [one.address], made.getvalue())
        return made.getvalue()

    @staticmethod
    def _part(body: str, subtype: str) -> MIMEText:
        long = any(len(line.encode()) > LONGEST_LINE for line in body.splitlines())
        utf8 = charset.Charset("utf-8")
        utf8.body_encoding = charset.QP if long else None  # type: ignore[assignment] # None: as it is
        part = MIMEText("", subtype, None)
        del part["Content-Transfer-Encoding"]
        part.set_payload(body, utf8)
        return part

    @staticmethod
    def _sanitized(value: str) -> str:
        name, address = parseaddr(value)
        return formataddr((Header(name, "utf-8").encode() if name else "", address))


class Joined(Sender):
    """The compiled message, its bytes joined for each follower as the worker does it, and smtplib."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled

    def send(self, wire: smtplib.SMTP, one: Follower) -> SupportsBytes:
        """Join and send."""
        content = mail.join(
            self.compiled.content, address=one.address, public_id=one.public_id, leave_token=one.leave_token
        )
        wire.sendmail(self.compiled.sender, [one.address], content)
        return content


SENDERS: dict[str, type[Naive | DjangoStyle | Joined]] = {
    "naive": Naive,
    "django-style": DjangoStyle,
    "compiled": Joined,
}


def _send(sender: Sender, wire: smtplib.SMTP, everyone: list[Follower]) -> int:
    for one in everyone:
        made = sender.send(wire, one)
    return len(bytes(made))


def main(name: str, port: int, mails: int) -> None:
    """Send and print the lap."""
    sender, everyone = SENDERS[name](press.compiled()), followers(mails)
    with smtplib.SMTP(HOST, port) as wire:
        wire.ehlo()
        sys.stdout.write(f"{timed(mails, lambda: _send(sender, wire, everyone))}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
