"""What anybody wrote becomes text that no header, parser or encoder stumbles over."""

import re
import unicodedata

_BREAKS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_BLANKS = re.compile("[ \t\n]+")
_SURROGATES = re.compile("[\ud800-\udfff]")
_UNFIT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")


def lines(text: str) -> str:
    """Return text of one or more lines, broken by LF alone, without control characters or lone surrogates."""
    return _UNFIT.sub("", _SURROGATES.sub("\ufffd", _BREAKS.sub("\n", text)))


def line(text: str) -> str:
    """Return text of one line, single blanks in it (no-break ones stay): good for a header."""
    return _BLANKS.sub(" ", lines(text)).strip()


def name(text: str, otherwise: str) -> str:
    """Return one line that shows something, or else the other one."""
    found = line(text)
    return found if any(unicodedata.category(char)[0] not in "CMZ" for char in found) else otherwise
