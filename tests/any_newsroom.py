"""Newsrooms as somebody might write them: every field, with whatever YAML, HTML and browsers stumble over."""

import string

from hypothesis import strategies as st

from service.newsrooms import RESERVED

LETTERS = string.ascii_lowercase + string.digits
STUMBLES = (
    " ", "  ", ":", ": ", "#", " #", "- ", "-", "? ", "|", ">", "'", '"', "''", "\\", "\\n", "%", "@", "`", "!", "&a",
    "*a", "[", "]", "{", "}", "{{ x }}", ",", "=", "<<", "~", "---", "...", "<b>", "</textarea>", "&amp;", "&#10;",
    "yes", "No", "null", "1", "1e3", "0x1f", "0o7", "1:30", ".inf", "2026-01-01", "2026-01-01 12:00:00", "true",
    "å", "A\u030a", "\u2010", "\u00a0", "\u00ad", "\u200b", "\u202e", "\u3000", "\ufeff", "\ufffe", "\ue000",
    "👩\u200d🚒", "🇫🇮", "\U0010ffff", "x" * 130, "ett ord och " * 15,
)  # fmt: skip
"""Pieces of a line."""

BREAKS = (
    "\n", "\n\n", " \n", "\n ", "\n    ", "\t", "\n\t", " \n \n", "\n# ", "\n- ", "\n---\n", "\n...\n", "\u2028",
    "\u2029", "y" * 2000, "rad utan slut " * 200,
)  # fmt: skip
"""What only a text of several lines may hold."""

any_char = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
any_prose_char = st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t")


def line(longest: int, shortest: int = 0) -> st.SearchStrategy[str]:
    """A text of one line, blanks around it included."""
    made = st.lists(st.sampled_from(STUMBLES) | any_char, max_size=8).map("".join)
    return made.map(lambda text: text[:longest]).filter(lambda text: len(text.strip()) >= shortest)


prose = st.lists(st.sampled_from(STUMBLES) | st.sampled_from(BREAKS) | any_prose_char, max_size=12).map("".join)
email = st.from_regex(r"[a-zA-Z]{1,10}(\+[a-z])?@[a-zA-Z]{1,10}\.example\.org", fullmatch=True) | st.sampled_from(
    ["'@example.org", "null@example.org", "press@blåbär.example", "  a.b@EXAMPLE.org "]
)
website = st.sampled_from(
    ["", "https://example.org/å?a=b#c", "http://example.org:8/", " https://example.org/'%22&amp;|"]
)
contact = st.fixed_dictionaries(
    {"name": line(200, 1)}, optional={"role": line(300), "phone": line(50), "email": email | st.just("")}
)
slug = st.sampled_from(["null", "yes", "1e3", "0x1f", "2026-01-01", "0-0"]) | st.text(
    LETTERS, min_size=1, max_size=20
).filter(lambda made: made not in RESERVED)
fields = st.fixed_dictionaries(
    {
        "slug": slug,
        "name": line(200, 1),
        "language": st.sampled_from(["sv", "fi", "en"]),
        "timezone": st.sampled_from(["Europe/Stockholm", "Europe/Helsinki", "UTC"]),
    },
    optional={
        "tagline": line(300),
        "website": website,
        "address": prose,
        "phone": line(50),
        "about": prose,
        "accent": st.sampled_from(["", "#b3541e", "#0000FF", "#000000"]),
        "sender": st.none() | st.fixed_dictionaries({"address": email}, optional={"name": line(200)}),
        "bounce_address": email | st.just(""),
        "follow_text": line(500),
        "privacy": st.fixed_dictionaries({}, optional={"controller": prose, "data_protection_officer": prose}),
        "contacts": st.lists(contact, max_size=4),
    },
)
"""The fields of a newsroom's file, all of them good."""
