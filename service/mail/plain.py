"""Text for reading, from a Markdown tree: wrapped, links shown, nothing of HTML in it."""

import textwrap

from markdown_it.tree import SyntaxTreeNode

WIDTH = 72
_NARROW = 24


def fill(text: str, width: int = WIDTH) -> str:
    """Return text wrapped, its own line breaks kept, long words and addresses whole."""
    wrapped = (
        textwrap.fill(line, max(width, _NARROW), break_long_words=False, break_on_hyphens=False)
        for line in text.split("\n")
    )
    return "\n".join(wrapped)


def underlined(text: str, sign: str, width: int = WIDTH) -> str:
    """Return a heading with a line of a sign below it."""
    filled = fill(text, width)
    return f"{filled}\n{sign * min(max(map(len, filled.split(chr(10)))), WIDTH)}"


def block(node: SyntaxTreeNode, width: int = WIDTH) -> str:
    """Return one block of the tree as text."""
    match node.type:
        case "heading":
            return underlined(_inline(node), "-", width)
        case "bullet_list" | "ordered_list":
            return _items(node, width)
        case "blockquote":
            return "\n".join(f"> {line}".rstrip() for line in _blocks(node, width - 2).split("\n"))
        case "fence" | "code_block":
            return textwrap.indent(node.content.rstrip("\n"), "    ")
        case "hr":
            return "* * *"
        case _:
            return fill(_inline(node), width)


def _blocks(node: SyntaxTreeNode, width: int) -> str:
    return "\n\n".join(block(child, width) for child in node.children)


def _items(node: SyntaxTreeNode, width: int) -> str:
    first = int(node.attrs.get("start", 1))
    made = []
    for number, item in enumerate(node.children, first):
        mark = "- " if node.type == "bullet_list" else f"{number}. "
        text = "\n".join if _is_tight(item) else "\n\n".join
        body = text(block(child, width - len(mark)) for child in item.children)
        made.append(mark + textwrap.indent(body, " " * len(mark))[len(mark) :])
    return ("\n" if all(_is_tight(item) for item in node.children) else "\n\n").join(made)


def _is_tight(item: SyntaxTreeNode) -> bool:
    return all(child.hidden for child in item.children if child.type == "paragraph")


def _inline(node: SyntaxTreeNode) -> str:
    match node.type:
        case "text" | "code_inline":
            return node.content
        case "softbreak":
            return " "
        case "hardbreak":
            return "\n"
        case "link":
            return _link(node)
        case _:
            return "".join(_inline(child) for child in node.children)


def _link(node: SyntaxTreeNode) -> str:
    words = "".join(_inline(child) for child in node.children).strip()
    target = str(node.attrs["href"])
    for scheme in ("mailto:", "tel:"):
        target = target.removeprefix(scheme)
    return target if not words or words == target or node.markup == "autolink" else f"{words} ({target})"
