"""Prose: the Markdown of a release becomes safe HTML, and text for reading."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode
from markupsafe import Markup

from service.mail import clean, plain

SCHEMES = {"http", "https", "mailto", "tel"}
TAGS = {"p", "h2", "h3", "ul", "ol", "li", "blockquote", "em", "strong", "a", "code", "pre", "br", "hr"}
_QUOTE = re.compile(r"[–—]\s|[”“\"]")
_LINK = re.compile(r"https?://|mailto:|tel:", re.IGNORECASE)


class Block(NamedTuple):
    """A paragraph, heading, list or the like at the top level: where a long release may be cut."""

    html: str
    text: str


@lru_cache(maxsize=128)  # a version never changes, and anybody may ask for its page
def to_html(markdown: str) -> Markup:
    """Return safe HTML: no images, headings from h2 down, spoken paragraphs as `<p class="quote">`."""
    return Markup("\n".join(block.html for block in blocks(markdown)))  # noqa: S704 - nh3 made it safe


def to_text(markdown: str) -> str:
    """Return the same as text for reading, its links shown."""
    return "\n\n".join(block.text for block in blocks(markdown))


def blocks(markdown: str) -> list[Block]:
    """Return the top-level blocks that show something."""
    made = [_block(tokens) for tokens in _split(_MARKDOWN.parse(clean.lines(markdown)))]
    return [block for block in made if block.text.strip()]


def _split(tokens: list[Token]) -> Iterator[list[Token]]:
    start = depth = 0
    for end, token in enumerate(tokens, 1):
        depth += token.nesting
        if depth == 0:
            yield tokens[start:end]
            start = end


def _block(tokens: list[Token]) -> Block:
    dirty = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    html = nh3.clean(
        dirty,
        tags=TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        allowed_classes={"p": {"quote"}},
        url_schemes=SCHEMES,
        link_rel="noopener",
    )
    return Block(html.strip(), "\n\n".join(plain.block(node) for node in SyntaxTreeNode(tokens).children))


def _house_style(state: StateCore) -> None:
    """Mark quotes, level headings, take images and foreign links out."""
    for index, token in enumerate(state.tokens):
        if token.type in ("heading_open", "heading_close"):
            token.tag = "h2" if token.tag in ("h1", "h2") else "h3"
        elif token.type == "paragraph_open" and _QUOTE.match(state.tokens[index + 1].content):
            token.attrSet("class", "quote")
        elif token.type == "inline":
            token.children = list(_without_foreign_links(token.children or []))


def _without_foreign_links(tokens: list[Token]) -> Iterator[Token]:
    dropping = False
    for token in tokens:
        if token.type == "link_open" and not _LINK.match(str(token.attrGet("href"))):
            dropping = True
        elif token.type == "link_close" and dropping:
            dropping = False
        elif token.type == "image":
            yield Token("text", "", 0, content=_alternative(token))
        else:
            yield token


def _alternative(image: Token) -> str:
    renderer = _MARKDOWN.renderer
    assert isinstance(renderer, RendererHTML)  # noqa: S101 - the preset's own
    return renderer.renderInlineAsText(image.children, _MARKDOWN.options, {})


def _any_link(url: str) -> bool:  # noqa: ARG001
    """Let the parser take any link for one: `_house_style` takes the bad ones out and leaves their words."""
    return True


def _markdown() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False})
    made.validateLink = _any_link  # type: ignore[method-assign]
    made.core.ruler.push("house_style", _house_style)
    return made


_MARKDOWN = _markdown()
