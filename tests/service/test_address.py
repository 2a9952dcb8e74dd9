"""Addresses: what is refused and why, one hash whatever the form, and nothing of one in a kept reply."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import address
from service.address import BadAddress
from tests.service.press import configure

BAD = [
    ("", "empty"),
    (" \t ", "empty"),
    ("a" * 288 + "@example.org", "long"),
    ("a" * 65 + "@example.org", "long"),
    ("anna@" + "a" * 64 + ".org", "syntax"),
    ("anna@example.org\r\nBcc: alla@example.org", "control"),
    ("anna@example.org\n", "control"),
    ("anna\x00@example.org", "control"),
    ("anna@exam\x7fple.org", "control"),
    ("anna@example.org, bo@example.org", "several"),
    ("anna@example.org;bo@example.org", "several"),
    ("anna@example.org bo@example.org", "several"),
    ("Anna Ek <anna@example.org>", "syntax"),
    ("<anna@example.org>", "syntax"),
    ('"anna ek"@example.org', "syntax"),
    ('"anna"@example.org', "syntax"),
    ("anna", "syntax"),
    ("anna@", "syntax"),
    ("@example.org", "syntax"),
    ("anna@example", "syntax"),
    ("anna@@example.org", "syntax"),
    ("anna@[192.0.2.1]", "syntax"),
    ("anna@example..org", "syntax"),
    (".anna@example.org", "syntax"),
    ("anna@-example.org", "syntax"),
    ("an\u2028na@example.org", "syntax"),
    ("an\u202ena@example.org", "syntax"),
    ("mailto:anna@example.org?subject=x", "syntax"),
    ("åsa@example.org", "local_part"),
    ("ａnna@example.org", "local_part"),
]


@pytest.mark.parametrize(("raw", "code"), BAD)
def test_a_bad_address_says_why(raw: str, code: str) -> None:
    with pytest.raises(BadAddress) as caught:
        address.parse(raw)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (" anna@example.org ", "anna@example.org"),
        ("Anna.Ek+press@Example.ORG", "Anna.Ek+press@example.org"),
        ("anna@räksmörgås.example.org", "anna@xn--rksmrgs-5wao1o.example.org"),
        ("anna@RÄKSMÖRGÅS.example.org", "anna@xn--rksmrgs-5wao1o.example.org"),
        ("anna@xn--rksmrgs-5wao1o.example.org", "anna@xn--rksmrgs-5wao1o.example.org"),
        ("anna@ｅxample.org", "anna@example.org"),
        ("o'brien@example.org", "o'brien@example.org"),
    ],
)
def test_a_good_address_keeps_its_local_part_and_gets_an_a_label(raw: str, text: str) -> None:
    assert address.parse(raw).text == text


def test_non_ascii_local_parts_where_the_operator_allows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, allow_smtputf8="on")
    assert address.parse("åsa@Räksmörgås.example.org").text == "åsa@xn--rksmrgs-5wao1o.example.org"
    for raw in ("å" * 33 + "@example.org", "\u200basa@example.org", "a\u0301\n@example.org"):
        with pytest.raises(BadAddress):
            address.parse(raw)


def test_an_address_fits_a_path_as_octets(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, allow_smtputf8="on")
    domain = ".".join(["a" * 60] * 3)
    assert len(address.parse(f"{'a' * 60}@{domain}.org").text) == 247
    with pytest.raises(BadAddress):
        address.parse(f"{'å' * 32}@{domain}.{'b' * 20}.org")


letters = st.text(
    st.characters(categories=["Lu", "Ll"], max_codepoint=0x24F, exclude_characters="ı"), min_size=1, max_size=20
)


@given(letters)
def test_case_and_unicode_form_make_no_difference_to_the_hash(local: str) -> None:
    text = f"{local}@example.org"
    known = address.hash_of(text)
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")]
    assert {address.hash_of(form) for form in [*forms, text.upper(), text.lower(), text.casefold()]} == {known}


def test_compatible_letters_are_the_same_once_folded() -> None:
    assert len({address.hash_of(f"{local}@example.org") for local in ("™anna", "TManna", "tmanna", "ｔｍanna")}) == 1


def test_the_hash_is_keyed_and_tells_addresses_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    known = address.hash_of("anna@example.org")
    assert len(known) == 64
    assert known != address.hash_of("anne@example.org")
    configure(monkeypatch, address_key="another key")
    assert known != address.hash_of("anna@example.org")


@given(st.text(max_size=300))
def test_anything_is_either_good_or_refused_by_a_known_code(raw: str) -> None:
    try:
        good = address.parse(raw)
    except BadAddress as bad:
        assert bad.code in ("empty", "long", "several", "control", "local_part", "syntax")
    else:
        assert good.text.isascii()
        assert address.parse(good.text) == good


REPLIES = [
    "550 5.1.1 <anna.ek@example.org>: Recipient address rejected: User unknown",
    "550 5.1.1 ANNA.EK@EXAMPLE.ORG no such user",
    "550 user anna.ek is unknown here",
    "550 Anna.Ek: mailbox full; forward to anna.larsson@other.example",
    "551 5.1.6 moved to 'bo.ek@other.example', (see rcpt=anna.ek@example.org)",
    "450 4.2.0 rfc822;anna.ek@example.org deferred",
]


@pytest.mark.parametrize("reply", REPLIES)
def test_a_kept_reply_holds_no_address_and_no_local_part(reply: str) -> None:
    kept = address.mask(reply, "anna.ek@example.org").casefold()
    assert "anna" not in kept
    assert "bo.ek" not in kept
    assert kept[:3] == reply[:3]


def test_a_mask_leaves_the_rest_of_a_reply_alone() -> None:
    assert address.mask("550 5.1.1 User unknown", "anna@example.org") == "550 5.1.1 User unknown"
    assert address.mask("450 busy", "") == "450 busy"
    assert address.mask("550 user a is unknown", "a@example.org") == "550 user a is unknown"


@given(st.text(max_size=80), st.from_regex(r"[a-z][a-z0-9.+\-]{2,20}[a-z]", fullmatch=True))
def test_an_address_never_gets_through_the_mask(words: str, local: str) -> None:
    text = f"{local}@example.org"
    assert text not in address.mask(f"{words} <{text}> {words}", text)
