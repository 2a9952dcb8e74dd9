"""Raw text becomes a good address, or the reason why not; and the keyed hash of one."""

import hashlib
import hmac
import re
import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, EmailUndeliverableError, validate_email

from service import settings
from service.logs import ADDRESS

LONGEST = 254
"""Octets in an address that a path can carry (RFC 5321 §4.5.3.1.3)."""

LONGEST_LOCAL = 64
"""Octets in a local part (RFC 5321 §4.5.3.1.1)."""

DNS_TIMEOUT = 3
"""Seconds for the look-up of a domain: somebody waits for the page."""


@dataclass(frozen=True)
class Address:
    """A good address: the local part as typed, the domain as an A-label."""

    text: str
    hash: str


class BadAddress(Exception):
    """What is wrong with an address, as a code that an edge puts into words."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def parse(raw: str) -> Address:
    """Return a good address; raise BadAddress: empty, long, several, control, local_part, domain or syntax."""
    found = raw.strip(" \t")
    _refuse_early(found)
    config = settings.current()
    try:
        checked = validate_email(
            found,
            allow_smtputf8=True,
            check_deliverability=config.check_dns,
            allow_display_name=False,
            test_environment=not config.check_dns,
            timeout=DNS_TIMEOUT,
        )
    except EmailUndeliverableError:
        raise BadAddress("domain") from None
    except EmailNotValidError:
        raise BadAddress("syntax") from None
    if not checked.local_part.isascii() and not config.allow_smtputf8:
        raise BadAddress("local_part")
    text = f"{checked.local_part}@{checked.ascii_domain}"
    if len(text.encode()) > LONGEST or len(checked.local_part.encode()) > LONGEST_LOCAL:
        raise BadAddress("long")
    return Address(text, hash_of(text))


def _refuse_early(found: str) -> None:
    if not found:
        raise BadAddress("empty")
    if any(unicodedata.category(char) == "Cc" for char in found):
        raise BadAddress("control")
    if found.count("@") > 1 and re.search(r"[\s,;]", found):
        raise BadAddress("several")
    if len(found) > LONGEST:
        raise BadAddress("long")


def hash_of(text: str) -> str:
    """Return the keyed hash (64 hexadecimal digits) of an address, the same whatever its case or Unicode form."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return hmac.new(settings.current().address_hash_key, folded.encode(), hashlib.sha256).hexdigest()


def veiled(text: str) -> str:
    """Return an address for eyes that need not read it whole: `e…@example.org`, the domain kept, since it explains."""
    local, _, domain = text.rpartition("@")
    return f"{local[:1]}…@{domain}"


def mask(words: str, text: str) -> str:
    """Take addresses (and this one's local part) out of a relay's reply, which is kept and shown."""
    local = text.rpartition("@")[0]
    if "@" not in words and local.partition("+")[0].casefold() not in words.casefold():  # as nearly always
        return words
    masked = words.replace(text, "<address>") if text else words
    for name in (local, local.partition("+")[0]):
        if len(name) > 1 and name.casefold() in masked.casefold():
            masked = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "<address>", masked, flags=re.IGNORECASE)
    return ADDRESS.sub("<address>", masked)
