"""A fictional twin of a real newsroom and release: U+2010 hyphens, dashes as quotes, å ä ö, two contacts."""

import email
import email.policy
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from html.parser import HTMLParser

from service import mail
from service.models import Newsroom, Release, Subscription, Version
from service.states import Kind, SubscriptionState

TOKEN = "Tw1n-Tw1n_Tw1n-Tw1n_Tw"
PUBLIC_ID = "7f3c9a4e5b6d4c2f8a1e0d9b8c7a6f5e"
NOW = datetime(2026, 3, 2, 9, 5, tzinfo=UTC)
ENVIRONMENT = {
    "UTSKICK_BASE_URL": "https://press.example.org",
    "UTSKICK_MAIL_DOMAIN": "mail.example.org",
    "UTSKICK_SMTP_URL": "smtp://127.0.0.1:2525",
    "UTSKICK_SECRET_KEY": "only for these tests",
}

LEAD = """Kommunstyrelsen i Åsele strand beviljar 163\u00a0000 kr för att fortsätta samarbetet med vänorten
Havnvik. Syftet är att stärka banden i öst\u2010västlig riktning."""
BODY = """– Vi har haft ett vänortssamarbete i över 30 år. Det är viktigt på flera sätt, säger
Åsa Öberg, ordförande i kommunstyrelsen.

## Vad händer nu

Utvärderingen visar att nätverken skapar en *viktig* position. Läs [hela utvärderingen](https://example.org/utv?år=30&del=2)
eller skriv till <press@example.org>.

- skolutbyte i maj
- en gemensam **kulturvecka**

”Det här har vi väntat på”, säger Örjan Ek.

.punkt först på raden, och From nästa:
From början till slut.
"""
ABOUT = """Åsele strand har 12 000 invånare.

Här finns hav, skog och ett bibliotek."""


def newsroom(**changed: object) -> Newsroom:
    values: dict[str, object] = {
        "slug": "asele-strand",
        "name": "Åsele strands kommun",
        "language": "sv",
        "timezone": "Europe/Stockholm",
        "tagline": "",
        "about": ABOUT,
        "phone": "",
        "website": "",
        "address": "Strandgatan 1\n900 00 Åsele strand\n",
        "accent": "#b3541e",
        "sender_name": "",
        "sender_address": "press@example.org",
        "bounce_address": "studs@example.org",
        "privacy": {},
    }
    return Newsroom(**values | changed)


def release(**changed: object) -> Release:
    values: dict[str, object] = {"slug": "vanort", "kind": Kind.PRESS_RELEASE, "published_at": NOW}
    return Release(**values | changed)


def version(**changed: object) -> Version:
    values: dict[str, object] = {
        "language": "sv",
        "headline": "Fortsatt öst\u2010västligt samarbete med Havnvik – i 30 år till",
        "lead": LEAD,
        "body": BODY,
        "keywords": ["vänort", "Havnvik", "Agenda 2030"],
        "contacts": [
            {
                "name": "Åsa Öberg (X)",
                "role": "ordförande i kommunstyrelsen",
                "phone": "070-000 01 66",
                "email": "asa.oberg@example.org",
            },
            {"name": "Örjan Ek (Y)", "role": "vice ordförande", "phone": "+46 (0)70-000 67 64", "email": ""},
        ],
    }
    return Version(**values | changed)


def subscription(**changed: object) -> Subscription:
    values: dict[str, object] = {
        "id": 42,
        "address": "anna@example.org",
        "state": SubscriptionState.PENDING,
        "language": "sv",
        "leave_token": TOKEN,
        "expires_at": NOW + timedelta(days=7),
    }
    return Subscription(**values | changed)


def joined(compiled: mail.Compiled, address: str = "anna@example.org") -> bytes:
    return mail.join(compiled.content, address=address, public_id=PUBLIC_ID, leave_token=TOKEN)


def release_mail(**changed: object) -> bytes:
    return joined(mail.compile_release(newsroom(), release(), version(**changed)))


def read(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def part(raw: bytes, subtype: str) -> str:
    found = read(raw).get_body((subtype,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


class Page(HTMLParser):
    """What a test wants to know of an HTML part."""

    def __init__(self, raw: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(part(raw, "html"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("style", "title"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def links(self) -> list[str]:
        return [attributes.get("href") or "" for attributes in self.all("a")]
