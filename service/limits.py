"""Rate limits of visitors, by the library `limits`: in Redis, or in this process while Redis is away."""

import hashlib
import hmac
import ipaddress
import math
import time
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import limits
from limits.errors import ConfigurationError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from service import settings

PATIENCE = 1.0
"""Seconds to wait for Redis before this process counts by itself."""

REST = 30.0
"""Seconds before an absent Redis is asked again, so that only one visitor in that time waits for it."""

LOGINS_THERE, LOGINS_OF_NETWORK, LOGINS_OF_ONE = 10, 60, 100
"""Tries to log in an hour: from one network as one person; from there; as one person from anywhere."""

TESTS = 30
"""Test mails an hour to one of the staff."""


class Allowance(NamedTuple):
    """A limit, what is left of it, the seconds until it is whole again, and those to wait now (0: go on)."""

    limit: int
    remaining: int
    reset: int
    wait: int


_memory = SlidingWindowCounterRateLimiter(MemoryStorage())
_resting: dict[str, float] = {}


def visitor(client: str) -> int:
    """Count a request by a client's network; return the seconds to wait where it overdoes it, else 0."""
    return _count(settings.current().visitor_limit, "visitor", _network_key(client))


def login(client: str, address: str) -> int:
    """Count a try to log in; return the seconds to wait where there are too many from there or for that one, else 0.

    The narrowest comes first and a refused try counts no further, so that one machine locks nobody out elsewhere.
    """
    network_key, whose = _network_key(client), _key(address.strip().casefold())
    return (
        _count(LOGINS_THERE, "login", network_key, whose)
        or _count(LOGINS_OF_NETWORK, "login", network_key)
        or _count(LOGINS_OF_ONE, "login-of", whose)
    )


def test_mail(staff_id: int) -> int:
    """Count a test mail to one of the staff; return the seconds to wait where there are too many, else 0."""
    return _count(TESTS, "test", str(staff_id))


def api_key(key_id: int) -> Allowance:
    """Count a request by a program's key."""
    return _allow(limits.RateLimitItemPerMinute(settings.current().api_limit), "key", str(key_id))


def newsroom(slug: str) -> int:
    """Count a request to follow a newsroom; return the seconds to wait where there are too many, else 0."""
    return _count(settings.current().newsroom_limit, "newsroom", slug)


def network(client: str) -> str:
    """Return the network that counts as one client: /24 of IPv4, /48 of IPv6."""
    try:
        found = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return str(ipaddress.ip_network((found, 48), strict=False))
        found = found.ipv4_mapped
    return str(ipaddress.ip_network((found, 24), strict=False))


def _network_key(client: str) -> str:
    return _key(network(client))


def _key(text: str) -> str:
    """Return a keyed hash: not even the network stands in Redis, and no address."""
    key = settings.current().secret_keys[0].encode()
    return hmac.new(key, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:32]


def _count(amount: int, *names: str) -> int:
    return _allow(limits.RateLimitItemPerHour(amount), *names).wait


def _allow(item: limits.RateLimitItem, *names: str) -> Allowance:
    url = storage_url(settings.current().limits_store)
    if url and _resting.get(url, 0) <= time.monotonic():
        try:
            return _hit(_shared(url), item, names)
        except (RedisError, OSError, ConfigurationError):
            _resting[url] = time.monotonic() + REST
    return _hit(_memory, item, names)


def _hit(limiter: SlidingWindowCounterRateLimiter, item: limits.RateLimitItem, names: tuple[str, ...]) -> Allowance:
    allowed = limiter.hit(item, *names)
    window = limiter.get_window_stats(item, *names)
    left = max(1, math.ceil(window.reset_time - time.time()))
    return Allowance(item.amount, max(0, window.remaining), left, 0 if allowed else left)


@lru_cache(maxsize=4)
def _shared(url: str) -> SlidingWindowCounterRateLimiter:
    options: dict[str, object] = {
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": PATIENCE,
        "retry": Retry(NoBackoff(), 0),
        "key_prefix": "utskick:limits",
    }
    return SlidingWindowCounterRateLimiter(storage_from_string(url, **options))  # type: ignore[arg-type]


def storage_url(url: str) -> str:
    """Return Celery's form of a Redis URL as the one that `limits` knows."""
    parts = urlsplit(url)
    if parts.scheme == "redis+socket":
        number = parse_qs(parts.query).get("virtual_host", ["0"])[0].strip("/") or "0"
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return f"redis+unix://{user}{parts.path}?db={number}"
    if parts.scheme == "sentinel":
        hosts = url.removeprefix("sentinel://").replace(";sentinel://", ",").split("/")[0]
        return f"redis+sentinel://{hosts}/mymaster"
    return url
