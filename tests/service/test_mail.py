"""The mails of the twin: golden files, headers byte for byte, what a mail program makes of them."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service import mail, settings
from service.models import Contact
from tests.service import mail_twin as twin

GOLDEN = Path(__file__).parents[1] / "golden"
SUBJECT = (
    b"Subject: =?utf-8?q?Fortsatt_=C3=B6st=E2=80=90v=C3=A4stligt_samarbete_me?="
    b" =?utf-8?q?d_Havnvik_=E2=80=93_i_30_=C3=A5r_till?="
)
REWRITE = os.environ.get("UTSKICK_TEST_GOLDEN") == "write"


@pytest.fixture(autouse=True)
def site(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in twin.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    settings.current.cache_clear()


def letters(language: str = "sv") -> dict[str, bytes]:
    room, person = twin.newsroom(), twin.subscription(language=language)
    return {
        "release": twin.release_mail(language=language),
        "confirmation": mail.confirmation(room, person, twin.PUBLIC_ID, twin.NOW).content,
        "notice": mail.notice(room, person, twin.PUBLIC_ID, twin.NOW).content,
    }


def fields(raw: bytes) -> list[bytes]:
    return re.sub(rb"\r\n ", b" ", raw.split(b"\r\n\r\n", 1)[0]).split(b"\r\n")


@pytest.mark.parametrize("name", ["release", "confirmation", "notice"])
def test_golden(name: str) -> None:
    """UTSKICK_TEST_GOLDEN=write writes them anew: read the difference before you commit it."""
    path = GOLDEN / f"{name}.eml"
    if REWRITE:
        path.write_bytes(letters()[name])
    assert path.read_bytes() == letters()[name]


@pytest.mark.parametrize("language", ["sv", "fi", "en"])
@pytest.mark.parametrize("name", ["release", "confirmation", "notice"])
def test_bytes(name: str, language: str) -> None:
    raw = letters(language)[name]
    assert raw.isascii()
    assert raw.endswith(b"--\r\n")
    assert not re.search(rb"[\r\n]", raw.replace(b"\r\n", b""))
    assert not re.search(rb"[ \t]\r\n", raw)
    head, body = raw.split(b"\r\n\r\n", 1)
    assert max(map(len, body.split(b"\r\n"))) <= 76
    for line in head.split(b"\r\n"):
        assert len(line) <= 78 or b" " not in line.strip().partition(b": ")[2]
    assert not re.search(rb"\r\n(\.|From )", body)


def test_release_headers() -> None:
    assert fields(twin.release_mail()) == [
        b"From: =?utf-8?q?=C3=85sele_strands_kommun?= <press@example.org>",
        b"To: anna@example.org",
        SUBJECT,
        b"Date: Mon, 02 Mar 2026 10:05:00 +0100",
        b"Message-ID: <7f3c9a4e5b6d4c2f8a1e0d9b8c7a6f5e@mail.example.org>",
        b"Content-Language: sv",
        b"List-Id: =?utf-8?q?=C3=85sele_strands_kommun?= <asele-strand.mail.example.org>",
        b"List-Help: <https://press.example.org/asele-strand>",
        b"List-Owner: <mailto:press@example.org>",
        b"List-Archive: <https://press.example.org/asele-strand/releases>",
        b"List-Unsubscribe: <https://press.example.org/unsubscribe/Tw1n-Tw1n_Tw1n-Tw1n_Tw>",
        b"List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        b"MIME-Version: 1.0",
        b'Content-Type: multipart/alternative; boundary="=_utskick"',
    ]


def test_letters_say_that_a_machine_wrote_them() -> None:
    for name, raw in letters().items():
        assert (b"Auto-Submitted: auto-generated" in fields(raw)) == (name != "release")
        one_click = b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in fields(raw)
        assert one_click == (name != "confirmation")
        assert not any(field.lower().startswith(b"precedence") for field in fields(raw))


def test_one_click_address_stays_on_one_line_however_long(monkeypatch: pytest.MonkeyPatch) -> None:
    host = f"{'pressrum.' * 20}example.org"
    monkeypatch.setenv("UTSKICK_BASE_URL", f"https://{host}")
    settings.current.cache_clear()
    line = f"\r\nList-Unsubscribe: <https://{host}/unsubscribe/{twin.TOKEN}>\r\n"
    assert line.encode() in twin.release_mail()


def test_a_reader_gets_back_what_was_written() -> None:
    message = twin.read(twin.release_mail())
    assert message["subject"] == "Fortsatt öst\u2010västligt samarbete med Havnvik – i 30 år till"
    assert message["from"].addresses[0].display_name == "Åsele strands kommun"
    assert message["list-id"] == "Åsele strands kommun <asele-strand.mail.example.org>"
    assert [each.get_content_type() for each in message.iter_parts()] == ["text/plain", "text/html"]
    assert not message.defects
    for raw in letters().values():
        parts = list(twin.read(raw).iter_parts())
        assert not [defect for each in parts for defect in each.defects]


def test_both_parts_keep_the_order_of_the_page() -> None:
    raw = twin.release_mail()
    order = [
        "Åsele strands kommun",
        "Pressmeddelande · 2 mars 2026 kl. 10.05",
        "Fortsatt öst\u2010västligt",
        "Kommunstyrelsen i Åsele",
        "– Vi har haft",
        "Vad händer nu",
        "Kontakt",
        "Åsa Öberg (X)",
        "070-000 01 66",
        "asa.oberg@example.org",
        "Örjan Ek (Y)",
        "Nyckelord",
        "vänort, Havnvik, Agenda 2030",
        "Om Åsele strands kommun",
        "Åsele strand har 12 000",
        "Du får det här mejlet",
        "Sluta följa Åsele strands kommun",
        "Läs på webben",
        "Strandgatan 1",
    ]
    for text in (twin.part(raw, "plain"), twin.Page(raw).text):
        at = 0
        for words in order:
            found = text.find(words, at)
            assert found >= at, (words, text)
            at = found + 1


def test_confirmation_says_until_when_and_what_to_do_otherwise() -> None:
    raw = letters()["confirmation"]
    for text in (twin.part(raw, "plain"), twin.Page(raw).text):
        assert "9 mars 2026 kl. 10.05" in text
        assert "Om du inte har bett om det här behöver du inte göra något" in " ".join(text.split())
    url = re.search(r"https://press\.example\.org/confirm/\S+", twin.part(raw, "plain"))
    assert url is not None
    assert url[0] in twin.Page(raw).links()
    later = twin.subscription(expires_at=datetime(2026, 12, 24, 14, tzinfo=UTC))
    again = mail.confirmation(twin.newsroom(), later, twin.PUBLIC_ID, twin.NOW)
    assert "24 december 2026 kl. 15.00" in twin.part(again.content, "plain")


def test_failures_go_to_the_bounce_address_or_the_sender() -> None:
    def returned(**changed: object) -> str:
        return mail.compile_release(twin.newsroom(**changed), twin.release(), twin.version()).sender

    assert returned() == "studs@example.org"
    assert returned(bounce_address="") == "press@example.org"
    assert returned(bounce_address="", sender_address="") == "asele-strand@mail.example.org"


def test_newsroom_contacts_stand_in_where_the_release_has_none() -> None:
    assert "Kontakt" not in twin.part(twin.release_mail(contacts=[]), "plain")
    room = twin.newsroom(contacts=[Contact(name="Pressjouren", role="", phone="090-1", email="")])
    raw = twin.joined(mail.compile_release(room, twin.release(), twin.version(contacts=[])))
    assert "Kontakt\n-------\n\nPressjouren\n090-1\n" in twin.part(raw, "plain")


@pytest.mark.parametrize(
    "address",
    [
        "a@example.org\r\nBcc: b@example.org",
        "a@example.org\n",
        "a b@example.org",
        "<a@example.org>",
        "a",
        "",
    ],
)
def test_join_refuses_a_bad_address(address: str) -> None:
    compiled = mail.compile_release(twin.newsroom(), twin.release(), twin.version())
    with pytest.raises(ValueError, match="not an address"):
        twin.joined(compiled, address)


def test_join_refuses_what_does_not_fit() -> None:
    content = mail.compile_release(twin.newsroom(), twin.release(), twin.version()).content
    good = {"address": "a@example.org", "public_id": "abc", "leave_token": twin.TOKEN}
    assert mail.join(content, **good).count(twin.TOKEN.encode()) == 3
    bad = [{"leave_token": "short"}, {"leave_token": f"{twin.TOKEN[1:]}\n"}, {"public_id": "a>\r\nX: y"}]
    for changed in bad:
        with pytest.raises(mail.MessageError):
            mail.join(content, **good | changed)
    with pytest.raises(mail.MessageError, match="too few"):
        mail.join(content.replace(b"\x1a" * 22, b"", 1), **good)


def test_a_local_part_beyond_ascii_goes_as_it_is() -> None:
    compiled = mail.compile_release(twin.newsroom(), twin.release(), twin.version())
    raw = twin.joined(compiled, "åsa@xn--sele-ooa.example")
    assert "\r\nTo: åsa@xn--sele-ooa.example\r\n".encode() in raw
