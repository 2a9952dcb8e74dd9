"""The HTML part: for a screen reader, in the dark, without anything remote, and short enough."""

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import colours, i18n, mail, settings
from service.mail import look
from tests.service import mail_twin as twin


@pytest.fixture(autouse=True)
def site(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in twin.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    settings.current.cache_clear()


def pages() -> list[twin.Page]:
    room, person = twin.newsroom(), twin.subscription()
    letters = [make(room, person, "a", twin.NOW).content for make in (mail.confirmation, mail.notice)]
    return [twin.Page(raw) for raw in [*letters, twin.release_mail()]]


def test_made_for_a_screen_reader() -> None:
    for page in pages():
        assert len(page.all("h1")) == 1
        assert page.all("html") == [{"lang": "sv"}]
        assert page.all("td")[-1]["lang"] == "sv"  # some mail programs throw the html element away
        assert all(table["role"] == "presentation" for table in page.all("table"))


def test_nothing_remote() -> None:
    for page in pages():
        tags = {tag for tag, _ in page.tags}
        assert not tags & {"img", "script", "link", "iframe", "object", "svg", "video", "form", "input"}
        source = page.rawdata + "".join(str(attributes) for _, attributes in page.tags)
        assert "url(" not in source
        assert "@import" not in source
        names = {name for _, attributes in page.tags for name in attributes}
        assert not names & {"src", "srcset", "background", "poster", "data"}
        assert {urlsplit(link).scheme for link in page.links()} <= {"http", "https", "mailto", "tel"}


def test_only_the_leave_link_tells_followers_apart() -> None:
    content = mail.compile_release(twin.newsroom(), twin.release(), twin.version()).content
    one, other = (mail.join(content, address="a@example.org", public_id="a", leave_token=token * 22) for token in "XY")
    differ = set(twin.Page(one).links()) ^ set(twin.Page(other).links())
    assert differ == {f"https://press.example.org/unsubscribe/{token * 22}" for token in "XY"}


def test_contacts_can_be_tapped() -> None:
    links = twin.Page(twin.release_mail()).links()
    assert {"tel:0700000166", "tel:+46700006764", "mailto:asa.oberg@example.org"} <= set(links)


def test_script_and_markup_of_a_version_are_only_text() -> None:
    evil = "<script>alert(1)</script><img src=https://example.org/x.png onerror=alert(1)>"
    raw = twin.release_mail(
        headline=evil,
        lead=evil,
        body=f"{evil}\n\n[klicka](javascript:alert(1)) ![bild](https://example.org/a.png)",
        keywords=[evil],
        contacts=[{"name": evil, "phone": evil, "email": f'a"onclick="x@{evil}'}],
    )
    page = twin.Page(raw)
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not any("javascript" in link for link in page.links())
    assert "klicka bild" in page.text


def test_style_sheet_keeps_only_what_cannot_stand_inline() -> None:
    source = twin.part(twin.release_mail(), "html")
    style = re.findall(r"<style[^>]*>(.*?)</style>", source, re.DOTALL)
    assert len(style) == 1
    assert style[0].strip().startswith("@media (prefers-color-scheme: dark)")
    assert re.search(r'<h1 style="[^"]*font-size: 32px', source)


@given(st.integers(0, 0xFFFFFF))
def test_any_accent_can_be_read(colour: int) -> None:
    day, night = look.accent(f"#{colour:06X}")
    assert colours.contrast(day, look.PAPER) >= 4.5
    assert colours.contrast(night, look.NIGHT) >= 4.5


@pytest.mark.parametrize("accent", ["", "red", "#12", "#12345g", "#123456;}", "#123456\n"])
def test_an_accent_that_is_none_becomes_ours(accent: str) -> None:
    assert look.accent(accent) == look.accent(look.DEFAULT)


def test_known_contrasts() -> None:
    assert colours.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert colours.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_every_ink_of_the_style_sheet_can_be_read() -> None:
    for name, ground in (("style", look.PAPER), ("dark", look.NIGHT)):
        style = (settings.ROOT / f"templates/mail/{name}.css").read_text(encoding="utf-8")
        inks = re.findall(r"[{ ]color: (#\w{6})", style)
        assert inks
        assert all(colours.contrast(ink, ground) >= 4.5 for ink in inks)


def html_octets(raw: bytes) -> int:
    return len(raw.split(b"Content-Type: text/html", 1)[1].split(b"\r\n\r\n", 1)[1])


def test_a_long_release_is_cut_at_a_paragraph() -> None:
    words = "Åtta ord som står i ett långt stycke. "
    body = "\n\n".join(f"Stycke {number}. {words * 20}" for number in range(150))
    compiled = mail.compile_release(twin.newsroom(), twin.release(), twin.version(body=body))
    raw = twin.joined(compiled)
    page, text = twin.Page(raw), twin.part(raw, "plain")
    assert compiled.shortened
    assert 95_000 < html_octets(raw) < 102_400
    assert "Läs resten på webben" in page.text
    assert page.links().count("https://press.example.org/asele-strand/releases/vanort") == 2
    shown = re.findall(r"Stycke (\d+)\.", page.text)
    assert shown == re.findall(r"Stycke (\d+)\.", text) == [str(number) for number in range(len(shown))]
    assert page.text.count(words.strip()) == len(shown) * 20
    assert "Åsa Öberg (X)" in page.text


@pytest.mark.parametrize("field", ["body", "lead"])
@pytest.mark.parametrize("text", ["å" * 100_000, "ord " * 25_000])
def test_one_endless_paragraph_still_makes_a_mail(field: str, text: str) -> None:
    compiled = mail.compile_release(twin.newsroom(), twin.release(), twin.version(**{field: text}))
    assert compiled.shortened
    assert html_octets(compiled.content) < 102_400


def test_a_release_of_ordinary_length_is_whole() -> None:
    assert not mail.compile_release(twin.newsroom(), twin.release(), twin.version()).shortened


def test_what_no_cut_makes_short_enough_is_refused() -> None:
    with pytest.raises(mail.MessageError, match="too long"):
        mail.compile_release(twin.newsroom(), twin.release(), twin.version(keywords=["å" * 100] * 1000))


@pytest.mark.parametrize("language", ["sv", "fi"])
def test_every_message_is_translated(language: str) -> None:
    environment = i18n.environment(language)
    for path in (settings.ROOT / "templates/mail").rglob("*.*"):
        for _, _, message in environment.extract_translations(path.read_text(encoding="utf-8")):  # type: ignore[attr-defined]
            assert i18n.translate(language, message) != message, message
