"""Whatever a version says, the message holds: same headers, same places, readable by a strict parser."""

import quopri
import re
from email.header import decode_header, make_header

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from service import mail, settings
from service.mail import clean, headers, quoted
from tests.service import mail_twin as twin

ANY = st.characters(exclude_categories=())
NASTY = st.sampled_from(
    [
        "\r\nBcc: eve@example.org\r\n\r\n",
        "\n.\r\n",
        "\nFrom eve",
        "\x1a" * 22,
        "\x1aid\x1a",
        "\x00",
        "\ud800",
        "--=_utskick--",
        "=?utf-8?q?x?=",
        "</td></table><script>",
        "{{ 7*7 }}{% raw %}",
        "<!--",
        "]]>",
        "&#26;" * 22,
        "&#x1a;",
        "[a](javascript:x)",
        "![b](http://x.test/y)",
        "[c](http://x.test/&#26;)",
        "x" * 1200,
        "å" * 400,
        "\t \t",
        "> > - 1. ",
        "```\n",
        "# ",
        "\u2028",
        "é\u0301" * 40,
        "𝕬" * 60,
        "%(name)s",
        "“",
        "– ",
        "\\",
        '"',
        "@",
        "<",
        ";",
    ]
)
WORDS = st.lists(st.one_of(st.text(ANY, max_size=30), NASTY), max_size=8).map("".join)
NAMES = [
    b"From",
    b"To",
    b"Subject",
    b"Date",
    b"Message-ID",
    b"Content-Language",
    b"List-Id",
    b"List-Help",
    b"List-Owner",
    b"List-Archive",
    b"List-Unsubscribe",
    b"List-Unsubscribe-Post",
    b"MIME-Version",
    b"Content-Type",
]


@pytest.fixture(autouse=True)
def site(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in twin.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    settings.current.cache_clear()


def assert_whole(raw: bytes) -> None:
    assert raw.isascii()
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", raw)
    assert not re.search(rb"[\r\n]", raw.replace(b"\r\n", b""))
    assert not re.search(rb"[ \t]\r\n", raw)
    head, body = raw.split(b"\r\n\r\n", 1)
    assert max(map(len, head.split(b"\r\n"))) <= 78 + len("https://press.example.org")
    assert max(map(len, body.split(b"\r\n"))) <= 76
    assert not re.search(rb"(\A|\r\n)(\.|From )", body)
    assert [line.split(b":")[0] for line in head.split(b"\r\n") if not line.startswith(b" ")] == NAMES
    assert raw.count(f"https://press.example.org/unsubscribe/{twin.TOKEN}>".encode()) == 1
    assert raw.count(twin.TOKEN.encode()) == 3


@hypothesis(max_examples=150, deadline=None)
@given(headline=WORDS, lead=WORDS, body=WORDS, name=WORDS, about=WORDS, address=WORDS, keyword=WORDS, phone=WORDS)
def test_any_text_makes_a_whole_message(
    headline: str, lead: str, body: str, name: str, about: str, address: str, keyword: str, phone: str
) -> None:
    room = twin.newsroom(name=name, about=about, address=address)
    contacts = [{"name": lead, "role": body, "phone": phone, "email": name}]
    version = twin.version(headline=headline, lead=lead, body=body, keywords=[keyword], contacts=contacts)
    raw = twin.joined(mail.compile_release(room, twin.release(), version))
    assert_whole(raw)
    message = twin.read(raw)
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert not [defect for part in message.iter_parts() for defect in part.defects]
    assert message["to"] == "anna@example.org"
    assert len(message["from"].addresses) == 1
    assert message["from"].addresses[0].addr_spec == "press@example.org"
    assert twin.part(raw, "plain").count(twin.TOKEN) == 1
    page = twin.Page(raw)
    assert len(page.all("h1")) == 1
    assert not {"script", "img", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    assert all(re.match("(https?|mailto|tel):", link) for link in page.links())
    assert sum(twin.TOKEN in link for link in page.links()) == 1


@hypothesis(max_examples=50, deadline=None)
@given(name=WORDS)
def test_any_newsroom_name_makes_whole_letters(name: str) -> None:
    room, person = twin.newsroom(name=name), twin.subscription()
    for raw in (make(room, person, "a", twin.NOW).content for make in (mail.confirmation, mail.notice)):
        assert raw.isascii()
        assert not re.search(rb"[\r\n]", raw.replace(b"\r\n", b""))
        message = twin.read(raw)
        assert "bcc" not in message
        assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


@given(WORDS)
@example("Ett ord\u00a0och två")
@example("x" * 300)
@example("=?utf-8?q?nej?=")
def test_a_subject_comes_back(text: str) -> None:
    field = headers.field("Subject", headers.text(text))
    assert max(map(len, field.split("\r\n"))) <= 76
    found = twin.read(f"{field}\r\n".encode())["subject"]
    assert found == clean.line(text)


@given(WORDS.filter(lambda text: clean.name(text, "") != ""))
@example('Kommun, "stor" \\ liten')
@example("Nord (press)")
@example("a@b")
def test_a_display_name_comes_back(text: str) -> None:
    field = headers.field("From", [*headers.phrase(text), "<a@example.org>"])
    assert max(map(len, field.split("\r\n"))) <= 76
    assert not re.search(r'"[^"]*=\?', field)
    wanted = " ".join(clean.line(text).split())
    mailboxes = twin.read(f"{field}\r\n".encode())["from"].addresses
    assert [one.addr_spec for one in mailboxes] == ["a@example.org"]
    if "=?" in field:  # Python reads phrases with blanks between encoded-words (RFC 2047 §6.2: none)
        assert str(make_header(decode_header(" ".join(headers.phrase(text))))) == wanted
    else:
        assert mailboxes[0].display_name == wanted


@given(st.lists(st.one_of(WORDS.map(clean.lines), st.just(quoted.LEAVE)), max_size=12))
def test_quoted_printable_comes_back_with_its_tokens_whole(pieces: list[str]) -> None:
    text = "".join(pieces)
    raw = quoted.encode(text)
    assert raw.isascii()
    assert raw.endswith(b"\r\n")
    lines = raw.split(b"\r\n")
    assert max(map(len, lines)) <= 76
    assert not any(line.endswith((b" ", b"\t")) or line.startswith((b".", b"From ")) for line in lines)
    assert raw.count(quoted.LEAVE.encode()) == pieces.count(quoted.LEAVE)
    assert quopri.decodestring(raw.replace(b"\r\n", b"\n")).decode() == f"{text}\n"


@given(WORDS)
def test_clean_text_has_no_place_for_a_token(text: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", clean.lines(text))
    assert "\n" not in clean.line(text)
