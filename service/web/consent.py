"""The follow box: what it says about the address, how its form carries that, and what the consent record keeps."""

import hashlib
from dataclasses import dataclass

from service import tokens
from service.i18n import translate
from service.models import Newsroom
from service.subscriptions import ConsentShown


def sentence(newsroom: Newsroom, language: str) -> str:
    """Return what is said about following and the address, as shown and as recorded: the newsroom's own text first."""
    ours = translate(
        language,
        "Only your address is needed. %(newsroom)s uses it to mail you its press releases and for nothing "
        "else, and you can leave at any time with one click.",
        newsroom=newsroom.name,
    )
    return f"{newsroom.follow_text} {ours}" if newsroom.follow_text else ours


@dataclass(frozen=True)
class FollowBox:
    """One field and one button, on a page in a language; again with what was typed and what is wrong."""

    newsroom: Newsroom
    language: str
    page: str
    typed: str = ""
    problem: str = ""

    @property
    def consent(self) -> str:
        """The sentence shown."""
        return sentence(self.newsroom, self.language)

    @property
    def shown(self) -> ConsentShown:
        """What the consent record keeps (GDPR 7(1))."""
        return as_shown(self.page, self.language, self.consent)

    @property
    def token(self) -> str:
        """The same, as the form carries it: the newsroom may be called something else by the time it comes back."""
        return tokens.shown_token(self.newsroom.slug, self.page, self.language, self.consent)


def shown_by(slug: str, token: str) -> ConsentShown | None:
    """Return what a newsroom's follow box showed, by the token of its form; None where there is no good one."""
    found = tokens.read_shown_token(token, slug)
    return as_shown(*found) if found else None


def as_shown(page: str, language: str, text: str) -> ConsentShown:
    """Return what the record keeps of a text that stood on a page."""
    version = hashlib.sha256(text.encode()).hexdigest()[:12]
    return ConsentShown(text=text, version=version, page=page, language=language)
