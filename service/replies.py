"""The relay's words in everyday language: a code for what they mean, which an edge puts into words.

Enhanced status codes are those of RFC 3463 and its registry; without one the basic code (RFC 5321 §4.2.3) decides.
"""

import re

_ENHANCED = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")

_DETAIL = {
    "1.1": "nobody",  # bad destination mailbox address
    "1.2": "no_domain",  # bad destination system address
    "1.3": "nobody",  # bad syntax of it
    "1.6": "moved",
    "1.8": "sender",  # bad sender's system address
    "1.10": "no_domain",  # null MX (RFC 7505)
    "2.1": "closed",  # mailbox disabled
    "2.2": "full",
    "2.3": "large",
    "3.4": "large",
    "4.1": "no_answer",
    "4.3": "no_domain",
    "4.4": "no_domain",
    "6.7": "letters",  # needs SMTPUTF8 (RFC 6531)
    "7.1": "policy",
    "7.20": "signature",  # DKIM (RFC 7372)
    "7.23": "signature",  # SPF
    "7.25": "sender",  # reverse DNS
    "7.26": "signature",
}
_CLASS = {"1": "nobody", "2": "closed", "3": "trouble", "4": "no_answer", "5": "trouble", "7": "policy"}
_WORDS = {
    "nobody": r"(user|recipient) unknown|no such (user|mailbox|recipient)|unknown (user|recipient)|does not exist",
    "full": r"over ?quota|quota exceeded|mailbox (is )?full",
    "later": r"greylist|try again later|rate limit|too many",
    "policy": r"spam|block(ed|list)|blacklist|policy|reputation",
    "large": r"too (large|big)|size (limit|exceeds)",
}
_CODES = {550: "nobody", 551: "moved", 552: "full", 553: "nobody", 554: "policy"}


def meaning(code: int | None, words: str) -> str:
    """Return what a refusal means, or an empty text where only the words themselves can tell.

    nobody, no_domain, moved, closed, full, large, policy, signature, sender, letters, no_answer, later, trouble.
    """
    found = _ENHANCED.search(words)
    if found:
        detail = f"{found[2]}.{found[3]}"
        if detail in _DETAIL:
            return _DETAIL[detail]
    for name, pattern in _WORDS.items():
        if re.search(pattern, words, re.IGNORECASE):
            return name
    if found and found[2] in _CLASS:
        return _CLASS[found[2]]
    return _CODES.get(code or 0, "later" if code is not None and 400 <= code < 500 else "")
