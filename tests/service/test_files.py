"""Newsroom and release files: what is wrong is said with file, line and field; what is good goes round unchanged."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from service import files, newsrooms, release_file
from service.files import FileError
from service.newsrooms import NewsroomFile
from tests import any_newsroom
from tests.service.press import START, TWIN, do

REAL = os.environ.get("UTSKICK_TEST_RELEASES", "")
FOLDERS = [TWIN, *([Path(REAL)] if REAL else [])]
ROOM = ["slug: asele-strand", "name: Åsele strands kommun", "language: sv", "timezone: Europe/Stockholm"]


def refused(kind: str, *lines: str, body: str = "Text.") -> tuple[int, str, str]:
    """Return line, field and message."""
    with pytest.raises(FileError) as caught:
        newsroom(*lines) if kind == "newsroom" else release(*lines, body=body)
    error = caught.value
    assert "\n" not in str(error)
    assert str(error).startswith(f"{error.name}:{error.line}: {error.field}")
    return error.line, error.field, error.message


def newsroom(*lines: str) -> NewsroomFile:
    return newsrooms.parse_file("\n".join([*ROOM, *lines]) + "\n", "room.yaml")


def release(*lines: str, body: str = "Text.", name: str = "badet.md") -> release_file.ReleaseFile:
    return release_file.parse("\n".join(["---", "headline: Badet öppnar", *lines, "---", "", body, ""]), name)


@pytest.mark.parametrize("path", [path for folder in FOLDERS for path in sorted(folder.glob("*.yaml"))], ids=str)
def test_a_newsroom_file_is_read_and_shown_as_it_was(path: Path) -> None:
    read = newsrooms.parse_file(files.read(path), path.name)
    assert read.about
    assert "\n" in read.address
    again = newsrooms.parse_file(newsrooms.as_yaml(read.model_dump(exclude_defaults=True)), "again.yaml")
    assert again == read


@pytest.mark.parametrize("path", [path for folder in FOLDERS for path in sorted(folder.glob("*.md"))], ids=str)
def test_a_release_file_is_read_with_all_it_says(path: Path) -> None:
    read = release_file.parse(files.read(path), path.name)
    assert len(read.contacts) == 2
    assert len(read.keywords) >= 4
    assert "\u2010" in read.headline + read.lead
    assert read.body.startswith("– ")
    assert read.lead.count("\n") == 0
    assert re.fullmatch(r"[a-z0-9-]+", read.slug)


def test_the_twin_keeps_its_letters() -> None:
    read = release_file.parse(files.read(TWIN / "vänort-Havnvik 2026.md"), "vänort-Havnvik 2026.md")
    assert read.slug == "vanort-havnvik-2026"
    assert read.headline == "Fortsatt öst\u2010västligt samarbete med Havnvik"
    assert [contact.name for contact in read.contacts] == ["Åsa Öberg (X)", "Örjan Ek (Y)"]


@pytest.mark.parametrize(
    ("stem", "slug"),
    [
        ("Året då ÅÄÖ kom", "aret-da-aao-kom"),
        ("A\u030asa", "asa"),
        ("hej--på__dig!", "hej-pa-dig"),
        ("öst\u2010väst", "ostvast"),
        ("日本", "release"),
        ("--", "release"),
        ("x" * 200, "x" * 120),
        ("x" * 119 + "-y", "x" * 119),
    ],
)
def test_a_slug_from_the_stem(stem: str, slug: str) -> None:
    assert release_file.slug_of(stem) == slug
    assert release(name=f"{stem}.md").slug == slug


@given(st.text(max_size=200))
def test_any_stem_makes_a_good_slug(stem: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", release_file.slug_of(stem))
    assert len(release_file.slug_of(stem)) <= 120


WRONG_RELEASES = [
    (["headlin: x"], 3, "headlin", "unknown field"),
    (["lead: 5"], 3, "lead", "it must be text; put quotes around it"),
    (["lead: yes"], 3, "lead", "it must be text"),
    (["lead:"], 3, "lead", "it must be text"),
    (["headline: x"], 3, "headline", "the field stands there twice"),
    (["keywords: bad"], 3, "keywords", "it must be a list"),
    (["keywords: [bad, 5]"], 3, "keywords.2", "it must be text"),
    (["keywords:", "  - bad", "  - ''"], 5, "keywords.2", "at least 1"),
    (["keywords:", *["  - x"] * 31], 3, "keywords", "30"),
    ([f"keywords: [{'x' * 101}]"], 3, "keywords.1", "100"),
    (["kind: rumour"], 3, "kind", "press-release, invitation, news"),
    (["language: de"], 3, "language", "sv, fi, en"),
    (["slug: Ä b"], 3, "slug", "use a-z"),
    (["slug: a--b"], 3, "slug", "use a-z"),
    (["slug: ../x"], 3, "slug", "use a-z"),
    ([f"slug: {'x' * 121}"], 3, "slug", "120"),
    ([f"lead: {'x' * 5001}"], 3, "lead", "5000"),
    (["contacts: Åsa"], 3, "contacts", "it must be a list"),
    (["contacts:", "  - Åsa"], 4, "contacts.1", "it must hold fields"),
    (["contacts:", "  - name: Åsa", "    fax: 1"], 5, "contacts.1.fax", "unknown field"),
    (["contacts:", "  - name: Åsa", "    name: Bo"], 5, "name", "the field stands there twice"),
    (["contacts:", "  - name: Åsa", "  - role: chef"], 5, "contacts.2.name", "the field is missing"),
    (["contacts:", "  - name: Åsa", "    phone: 070"], 5, "contacts.1.phone", "put quotes around it"),
    (["contacts:", "  - name: Åsa", "    email: åsa"], 5, "contacts.1.email", "not an email address"),
    (["contacts:", "  - name: Åsa", f"    phone: '{'0' * 51}'"], 5, "contacts.1.phone", "50"),
    (["contacts:", "  - name: Åsa", f"    role: {'x' * 301}"], 5, "contacts.1.role", "300"),
    (["contacts:", f"  - name: {'x' * 201}"], 4, "contacts.1.name", "200"),
    (["contacts:", *["  - name: x"] * 21], 3, "contacts", "20"),
    (["date: 2020-01-01", "date: 2020-01-02"], 4, "date", "twice"),
    (["body: here"], 3, "body", "unknown field"),
    (['lead: "a\\0b"'], 3, "lead", "control characters"),
    (['newsroom: "a\\nb"'], 3, "newsroom", "one line"),
    (['newsroom: "a\\u2028b"'], 3, "newsroom", "one line"),
    (['newsroom: "a\\ud800b"'], 3, "newsroom", "half a character"),
    (["lead: [unclosed"], 4, "", "not valid YAML"),
    (["\tlead: tab"], 3, "", "not valid YAML"),
    (["lead: a: b"], 3, "", "not valid YAML"),
    (["lead: \x00"], 3, "", "not valid YAML"),
    (["lead: \x1b[31m"], 3, "", "not valid YAML"),
    (["lead: !!python/object:os.system x"], 3, "", "not valid YAML"),
    (["lead: !!timestamp x"], 3, "", "not valid YAML"),
    (["lead: !!bool x"], 3, "", "not valid YAML"),
    (["lead: !!binary x"], 3, "", "not valid YAML"),
    (["lead: &a x", "slug: *a"], 3, "", "not valid YAML"),
    (["lead: &a [*a]"], 3, "", "not valid YAML"),
    (["lead: *nobody"], 3, "", "not valid YAML"),
    (["<<: {lead: x}"], 3, "<<", "unknown field"),
    (["? [a, b]", ": c"], 3, "", "a field's name must be text"),
    (["? {a: b}", ": c"], 3, "", "a field's name must be text"),
    (["5: x"], 3, "5", "unknown field"),
    (["yes: x"], 3, "yes", "unknown field"),
    (["2020-01-01: x"], 3, "2020-01-01", "unknown field"),
    ([f"lead: {'9' * 5000}"], 1, "", "not valid YAML"),
]


@pytest.mark.parametrize(("lines", "line", "field", "message"), WRONG_RELEASES, ids=lambda value: str(value)[:40])
def test_a_wrong_release_file_names_line_and_field(lines: list[str], line: int, field: str, message: str) -> None:
    said = refused("release", *lines)
    assert said[:2] == (line, field)
    assert message in said[2]


WRONG_ROOMS = [
    (["website: javascript:alert(1)"], 5, "website", "https://"),
    (["website: 'https://example.org/\"><script>'"], 5, "website", "https://"),
    (['website: "https://example.org/\\0"'], 5, "website", "control characters"),
    (["website: ftp://example.org"], 5, "website", "https://"),
    (["accent: red"], 5, "accent", "like #1f5f4a"),
    (["accent: '#12345'"], 5, "accent", "like #1f5f4a"),
    (["accent: '#12345g'"], 5, "accent", "like #1f5f4a"),
    ([f"tagline: {'x' * 301}"], 5, "tagline", "300"),
    ([f"phone: '{'0' * 51}'"], 5, "phone", "50"),
    ([f"website: https://example.org/{'x' * 500}"], 5, "website", "500"),
    (["sender: press@example.org"], 5, "sender", "it must hold fields"),
    (["sender:", "  name: Pressrummet"], 5, "sender.address", "the field is missing"),
    (["sender:", "  address: ''"], 6, "sender.address", "at least 1"),
    (["sender:", "  address: a@example.org, b@example.org"], 6, "sender.address", "not an email address"),
    (["sender:", '  name: "a\\r\\nBcc: x"', "  address: a@example.org"], 6, "sender.name", "one line"),
    (["bounce_address: studs"], 5, "bounce_address", "not an email address"),
    (["privacy: {controller: [x]}"], 5, "privacy.controller", "it must be text"),
    (["privacy: {dpo: x}"], 5, "privacy.dpo", "unknown field"),
    (["contacts: [{name: x, email: javascript:x}]"], 5, "contacts.1.email", "not an email address"),
    (["name: again"], 5, "name", "twice"),
    (["---", "slug: second"], 5, "", "not valid YAML"),
]


@pytest.mark.parametrize(("lines", "line", "field", "message"), WRONG_ROOMS, ids=lambda value: str(value)[:40])
def test_a_wrong_newsroom_file_names_line_and_field(lines: list[str], line: int, field: str, message: str) -> None:
    said = refused("newsroom", *lines)
    assert said[:2] == (line, field)
    assert message in said[2]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("language", "de", "'sv', 'fi' or 'en'"),
        ("timezone", "Europe/Åsele", "not a time zone"),
        ("timezone", "Europe", "not a time zone"),
        ("timezone", "../../etc/passwd", "not a time zone"),
        ("timezone", "''", "not a time zone"),
        ("name", "''", "at least 1"),
        ("name", "x" * 201, "200"),
        ("slug", "Åsele", "use a-z"),
        ("slug", "x" * 81, "80"),
        ("slug", "''", "use a-z"),
        *((("slug", name, "a name of the site's own") if re.fullmatch("[a-z]+", name) else ("slug", name, "use a-z"))
          for name in sorted(newsrooms.RESERVED)),
    ],
)  # fmt: skip
def test_a_newsroom_needs_good_names(field: str, value: str, message: str) -> None:
    lines = [f"{field}: {value}" if line.startswith(field) else line for line in ROOM]
    with pytest.raises(
        FileError, match=f":{ROOM.index(next(line for line in ROOM if line.startswith(field))) + 1}: "
    ) as caught:
        newsrooms.parse_file("\n".join(lines), "room.yaml")
    assert caught.value.field == field
    assert message in caught.value.message


@pytest.mark.parametrize("field", ["slug", "name", "language", "timezone"])
def test_a_newsroom_needs_its_fields(field: str) -> None:
    with pytest.raises(FileError) as caught:
        newsrooms.parse_file("\n".join(line for line in ROOM if not line.startswith(field)), "room.yaml")
    assert (caught.value.field, caught.value.message) == (field, "the field is missing")


@pytest.mark.parametrize("text", ["", "Text.", "--- x\nheadline: x\n---\n", "\n---\nheadline: x\n---\n"])
def test_front_matter_that_is_missing(text: str) -> None:
    with pytest.raises(FileError, match="front matter is missing") as caught:
        release_file.parse(text, "x.md")
    assert caught.value.line == 1


def test_front_matter_that_never_ends() -> None:
    with pytest.raises(FileError, match="never closed") as caught:
        release_file.parse("---\nheadline: x\n", "x.md")
    assert caught.value.line == 1


@pytest.mark.parametrize("front", ["", "- a\n- b\n", "text\n", "5\n"])
def test_front_matter_that_holds_no_fields(front: str) -> None:
    with pytest.raises(FileError):
        release_file.parse(f"---\n{front}---\nText.\n", "x.md")


def test_dashes_inside_the_front_matter_do_not_end_it() -> None:
    assert release("lead: Badet ---", "keywords: [a]", body="Text ---\n---\nmer").keywords == ["a"]
    assert release("lead: |", "  Först", "  ---", "  sedan").lead == "Först\n---\nsedan"


def test_a_release_needs_lead_or_body() -> None:
    assert refused("release", body=" ")[2] == "the release has neither lead nor body"


def test_control_characters_in_the_body() -> None:
    assert refused("release", body="a\x00b")[1:] == ("body", "it holds control characters")
    assert release(body="a\tb\n\nc").body == "a\tb\n\nc"


def test_a_file_with_bom_and_crlf_reads_the_same(tmp_path: Path) -> None:
    text = (TWIN / "vänort-Havnvik 2026.md").read_text(encoding="utf-8")
    path = tmp_path / "windows.md"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert release_file.parse(files.read(path), "x.md") == release_file.parse(text, "x.md")


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"---\nheadline: \xe5\n---\n", 2, "not UTF-8"),
        ("---\nheadline: å\n".encode("utf-16"), 1, "not UTF-8"),
        (b"x" * 1_000_001, 0, "larger than 1,000,000 bytes"),
        (None, 0, "No such file"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, line: int, message: str) -> None:
    path = tmp_path / "x.md"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError) as caught:
        files.read(path)
    assert caught.value.line == line
    assert message in caught.value.message
    assert ":0:" not in str(caught.value)


def test_an_endless_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(FileError):
            files.read(path)


def test_yaml_bombs_go_off_nowhere() -> None:
    laughs = ["a0: &a0 [ha, ha]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 40))]
    assert refused("release", *laughs)[0] == 3
    assert "not valid YAML" in refused("release", f"lead: {'[' * 20_000}")[2]
    assert "not valid YAML" in refused("release", f"lead: {'{a: ' * 5_000}")[2]


@given(st.text(max_size=400))
def test_any_front_matter_is_read_or_refused(text: str) -> None:
    for parse, written in ((release_file.parse, f"---\n{text}\n---\n"), (newsrooms.parse_file, text)):
        try:
            parse(written, "x")
        except FileError as error:
            assert error.line >= 1


yaml_like = st.lists(
    st.sampled_from(
        [*"abc:-[]{}&*!|>'\"%@`#?,\n ", "headline", ": ", "- ", "!!int ", "\n  ", "&a ", "*a", "<<: ", "? "]
    ),
    max_size=40,
).map("".join)


@given(yaml_like)
@limits(max_examples=300)
def test_anything_like_yaml_is_read_or_refused(text: str) -> None:
    try:
        release(text)
    except FileError as error:
        assert error.line >= 1


@given(any_newsroom.fields)
@limits(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
def test_what_show_prints_load_reads_back(database_url: str, fields: dict[str, Any]) -> None:
    told = NewsroomFile.model_validate(fields)
    shown = newsrooms.fields(do(newsrooms.load, told, START))
    printed = newsrooms.as_yaml(shown)
    again = newsrooms.parse_file(printed.replace("\r\n", "\n"), "again.yaml")
    assert again == told
    assert newsrooms.fields(do(newsrooms.load, again, START)) == shown
