"""The relay's words in everyday language: a code for what they mean, which an edge puts into words.

Enhanced status codes are those of RFC 3463 and its registry (RFC 5248, 7372, 7505). They say most, but two of them are
used for anything (X.7.1, X.4.1), and "no" for now is rarely about what its code says: there the words come first.
"""

import re

_ENHANCED = re.compile(r"(?<![\d.\[])([245])\.(\d{1,3})\.(\d{1,3})(?![.\d])")

_DETAIL = {
    "1.1": "nobody",  # bad destination mailbox address
    "1.2": "no_domain",  # bad destination system address
    "1.3": "nobody",  # bad syntax of it
    "1.6": "moved",
    "1.7": "sender",
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
    "7.21": "signature",
    "7.22": "signature",
    "7.23": "signature",  # SPF
    "7.25": "sender",  # reverse DNS
    "7.26": "signature",
    "7.27": "sender",  # the sender's domain takes no mail (RFC 7505)
}
_VAGUE = ("1.10", "4.1", "7.1")
_CLASS = {"1": "nobody", "2": "trouble", "3": "trouble", "4": "no_answer", "5": "trouble", "7": "policy"}
_WORDS = {
    "later": r"gr[ae]y.?list|try (again )?later|come back later|rate.?limit|too many|temporar",
    "full": r"over ?quota|quota exceeded|mailbox (is )?full|insufficient storage",
    "signature": r"\b(spf|dkim|dmarc)\b|unauthenticated",
    "nobody": r"(user|recipient|mailbox|address)( is)? (unknown|not found)|recipientnotfound|no such|does not exist"
    r"|unknown (user|recipient)|recipient address rejected: access denied|invalid (recipient|mailbox)",
    "no_domain": r"(domain|host) (name )?not found|unknown domain|null mx",
    "closed": r"disabled|deactivated|inactive|suspended",
    "policy": r"spam|block(ed|list)|black.?list|polic(y|ies)|reputation|listed at",
    "large": r"too (large|big)|size (limit|exceeds)|exceeds.*size",
}
_CODES = {550: "nobody", 551: "moved", 552: "full", 553: "nobody", 554: "policy"}


def meaning(code: int | None, words: str) -> str:
    """Return what the relay's answer means, or an empty text where only the words themselves can tell.

    nobody, no_domain, moved, closed, full, large, policy, signature, sender, letters, no_answer, later, trouble; and
    lost, where no answer came at all.
    """
    if code is None:
        return "lost" if words else ""
    found = _ENHANCED.search(words)
    detail = f"{found[2]}.{found[3]}" if found else ""
    said = next((name for name, pattern in _WORDS.items() if re.search(pattern, words, re.IGNORECASE)), "")
    if code < 500:
        return "full" if "full" in (said, _DETAIL.get(detail)) else "later"
    if detail in _DETAIL and not (detail in _VAGUE and said):
        return _DETAIL[detail]
    return said or (_CLASS.get(found[2], "") if found else "") or _CODES.get(code, "")
