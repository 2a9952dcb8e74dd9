"""Tokens: stored ones for leaving, signed ones for confirming and for what a follow box shows."""

import hashlib
import hmac
import re
import secrets

from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode

from service import settings

LEAVE_LENGTH = 22
"""Characters in a leave token: 128 random bits in base64url, one length so that they fit a compiled message."""

_LEAVE_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{{LEAVE_LENGTH}}}")


def new_leave_token() -> str:
    """Return a fresh leave token."""
    return secrets.token_urlsafe(16)


TEST_LEAVE_TOKEN = "this-is-only-a-test-00"  # noqa: S105 - it opens nothing
"""Stands in test mails: it looks like a leave token and ends nothing."""


def new_secret() -> str:
    """Return 256 random bits as text; the database keeps their `digest`."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return the SHA-256 (64 hexadecimal digits) of a random secret, which needs no salt."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def csrf(login: str, purpose: str = "desk") -> str:
    """Return what a form must carry that this browser's secret (a log-in's token or a form cookie) may send."""
    key = settings.current().secret_keys[0].encode()
    return hmac.new(key, f"csrf:{purpose}:{login}".encode(), hashlib.sha256).hexdigest()


def is_leave_token(token: str) -> bool:
    """Tell whether a text has the form of a leave token."""
    return _LEAVE_TOKEN.fullmatch(token) is not None


def confirm_token(subscription_id: int) -> str:
    """Return the signed token of a confirm link; how long it is good for stands in the subscription's row."""
    return _signer("confirm").dumps(subscription_id)


def read_confirm_token(token: str) -> int | None:
    """Return the subscription's id, or None for a token that we did not make for this purpose."""
    found = _read("confirm", token)
    return found if isinstance(found, int) else None


def shown_token(newsroom: str, page: str, language: str, text: str) -> str:
    """Return what a newsroom's follow box shows, signed: the same for everybody who reads the page, and for good."""
    return _signer("shown").dumps((newsroom, page, language, text))


def read_shown_token(token: str, newsroom: str) -> tuple[str, str, str] | None:
    """Return page, language and text, or None for a token that we did not make for this newsroom."""
    found = _read("shown", token)
    if not isinstance(found, list) or found[0] != newsroom:
        return None
    _, page, language, text = found
    return page, language, text


def _read(purpose: str, token: str) -> object:
    try:
        return _signer(purpose).loads(token) if _is_canonical(token) else None
    except (BadData, UnicodeError):
        return None


def _is_canonical(token: str) -> bool:
    """Tell whether the signature is written the one way: base64 leaves unused bits, which could be changed."""
    signature = token.rpartition(".")[2]
    return base64_encode(base64_decode(signature)).decode() == signature


def _signer(purpose: str) -> URLSafeSerializer:
    keys = settings.current().secret_keys
    signer = {"digest_method": hashlib.sha256}
    oldest_first = list(reversed(keys))  # itsdangerous signs with the last
    return URLSafeSerializer(oldest_first, salt=f"utskick.{purpose}", signer_kwargs=signer)
