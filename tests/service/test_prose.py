"""Prose: Markdown becomes safe HTML and text for reading."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.mail import prose


def test_headings_start_below_the_headline() -> None:
    html = prose.to_html("# A\n\n## B\n\n### C\n\n###### D")
    assert html == "<h2>A</h2>\n<h2>B</h2>\n<h3>C</h3>\n<h3>D</h3>"


@pytest.mark.parametrize("start", ["– Ja", "— Ja", "”Ja”", "“Ja”", '"Ja"', "–\u00a0Ja"])
def test_a_paragraph_that_somebody_says_is_a_quote(start: str) -> None:
    assert prose.to_html(f"{start}, säger Åsa.").startswith('<p class="quote">')


@pytest.mark.parametrize("start", ["–5 grader", "Ja – nej", "*– Ja*"])
def test_other_paragraphs_are_not(start: str) -> None:
    assert prose.to_html(start).startswith("<p>")


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "/relative",
        "//example.org",
        "#top",
        "java&#115;cript:x",
        "ftp://example.org",
    ],
)
def test_a_foreign_link_goes_and_its_words_stay(url: str) -> None:
    assert prose.to_html(f"Läs [här *nu*]({url}).") == "<p>Läs här <em>nu</em>.</p>"
    assert prose.to_text(f"Läs [här *nu*]({url}).") == "Läs här nu."


def test_good_links() -> None:
    html = prose.to_html("[a](https://example.org/å?b=1&c=2) <tel:+46700000000> <a@example.org>")
    assert '<a href="https://example.org/%C3%A5?b=1&amp;c=2" rel="noopener">a</a>' in html
    assert 'href="tel:+46700000000"' in html
    assert 'href="mailto:a@example.org"' in html


def test_images_become_their_description() -> None:
    assert prose.to_html("![Bron *i* kväll](https://example.org/b.jpg)") == "<p>Bron i kväll</p>"
    assert prose.to_html("![](https://example.org/b.jpg)") == ""


def test_markup_is_only_text() -> None:
    assert prose.to_html("<script>x</script>") == "<p>&lt;script&gt;x&lt;/script&gt;</p>"
    assert prose.to_text("2 < 3 & 4 > 1") == "2 < 3 & 4 > 1"


def test_text_shows_links_lists_and_quotes() -> None:
    text = prose.to_text(
        "## Nu *händer* det\n\n"
        "Läs [mer](https://example.org/m), <https://example.org> eller <a@example.org>. "
        "Ring [växeln](tel:090-1).\n\n"
        "- ett\n- två\n  1. inre\n\n3. tre\n4. fyra\n\n> citat\n>\n> mer\n\n---\n\n    kod  x"
    )
    assert text == (
        "Nu händer det\n-------------\n\n"
        "Läs mer (https://example.org/m), https://example.org eller\na@example.org. Ring växeln (090-1).\n\n"
        "- ett\n- två\n  1. inre\n\n3. tre\n4. fyra\n\n> citat\n>\n> mer\n\n* * *\n\n    kod  x"
    )


def test_text_is_wrapped_but_words_are_whole() -> None:
    url = "https://example.org/" + "a" * 100
    lines = prose.to_text(f"{'ord ' * 60}<{url}> öst\u2010väst").split("\n")
    assert url in lines
    assert all(len(line) <= 72 or line == url for line in lines)


@given(st.text(st.sampled_from("ab >*_[]()!#`-–\n\"'/:1.\\"), max_size=80))
def test_text_has_no_leftovers_of_html(markdown: str) -> None:
    assert not re.search("[<&]", prose.to_text(markdown))
