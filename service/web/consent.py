"""The follow box: what it says about the address, and what the consent record keeps of that."""

import hashlib
from dataclasses import dataclass

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
        version = hashlib.sha256(self.consent.encode()).hexdigest()[:12]
        return ConsentShown(text=self.consent, version=version, page=self.page, language=self.language)
