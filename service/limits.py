"""Rate limits of visitors, by the library `limits`: in Redis, or in this process while Redis is away."""

import hashlib
import hmac
import ipaddress
import math
import time
from functools import lru_cache
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

_memory = SlidingWindowCounterRateLimiter(MemoryStorage())
_resting: dict[str, float] = {}


def visitor(client: str) -> int:
    """Count a request by a client's network; return the seconds to wait where it overdoes it, else 0."""
    return _count(settings.current().visitor_limit, "visitor", _network_key(client))


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
    # A keyed hash: not even the network stands in Redis.
    key = settings.current().secret_keys[0].encode()
    return hmac.new(key, network(client).encode(), hashlib.sha256).hexdigest()[:32]


def _count(amount: int, *names: str) -> int:
    item = limits.RateLimitItemPerHour(amount)
    url = storage_url(settings.current().limits_store)
    if url and _resting.get(url, 0) <= time.monotonic():
        try:
            return _hit(_shared(url), item, names)
        except (RedisError, OSError, ConfigurationError):
            _resting[url] = time.monotonic() + REST
    return _hit(_memory, item, names)


def _hit(limiter: SlidingWindowCounterRateLimiter, item: limits.RateLimitItem, names: tuple[str, ...]) -> int:
    if limiter.hit(item, *names):
        return 0
    left = limiter.get_window_stats(item, *names).reset_time - time.time()
    return max(1, math.ceil(left))


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
