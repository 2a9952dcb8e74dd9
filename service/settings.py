"""The settings: the only reader of the environment, and it refuses nonsense."""

import ipaddress
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

PREFIX = "UTSKICK_"
SHIPPED = Path(__file__).with_name("shipped")
ROOT = SHIPPED if SHIPPED.is_dir() else Path(__file__).parents[1]
"""Where templates/, migrations/ and Procfile lie: inside an installed wheel, else the checkout."""

SHORTEST_KEY = 8
"""Characters in a key: below that it was never meant as one."""

SMTP_SCHEMES = ("smtp", "smtp+starttls", "smtps")
BROKER_SCHEMES = ("redis", "rediss", "redis+socket", "sentinel", "amqp", "amqps")
DATABASES = ("sqlite", "postgresql", "postgresql+psycopg")

_SITE = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?/?", re.IGNORECASE)
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*", re.IGNORECASE)


class SettingsError(Exception):
    """The environment makes no sense; the text is one line for the operator."""


class _SecretFiles(PydanticBaseSettingsSource):
    """Reads `UTSKICK_NAME_FILE=path` as the value of NAME, so that a secret need not stand in the environment."""

    def __init__(self, cls: type[BaseSettings], source: EnvSettingsSource) -> None:
        super().__init__(cls)
        self.paths = {key: value for key, value in source.env_vars.items() if value}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        path = self.paths.get(f"{PREFIX}{field_name}_FILE".lower())
        if path is None:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise SettingsError(f"{PREFIX}{field_name.upper()}_FILE={path}: {said}") from None

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


class Settings(BaseSettings):
    """What an operator may set, each as UTSKICK_NAME in the environment or in `.env`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    var_dir: Path = Path("var")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    database_url: str = ""
    broker_url: str = ""
    redis_url: str = ""
    smtp_url: str = ""
    base_url: str = ""
    trusted_proxies: str = ""
    secret_key: SecretStr = SecretStr("")
    address_key: SecretStr = SecretStr("")
    mail_domain: str = ""
    lease: float = Field(30, ge=1, le=3600)
    lost_after: float = Field(60, ge=0, le=3600)
    sweep_every: float = Field(5, ge=0.2, le=60)
    smtp_connections: int = Field(4, ge=1, le=32)
    smtp_max_rate: float = Field(0, ge=0)
    smtp_timeout: float = Field(60, ge=0.5, le=600)
    retry_after: Annotated[tuple[int, ...], NoDecode] = (60, 300, 900, 3600, 14400, 43200, 86400, 172800, 172800)
    uncertain: Literal["resend", "hold"] = "resend"
    keep_deliveries: int = Field(365, ge=1, le=36_500)
    allow_smtputf8: bool = False
    check_dns: bool = False
    mailbox_port: int = Field(8025, ge=1, le=65535)
    mailbox_smtp_port: int = Field(1025, ge=1, le=65535)
    visitor_limit: int = Field(20, ge=1)
    newsroom_limit: int = Field(2000, ge=1)
    api_limit: int = Field(120, ge=1)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Explicit arguments, the environment, `.env`, then the files that either of them names."""
        assert isinstance(env_settings, EnvSettingsSource)  # noqa: S101 - pydantic-settings' own default
        assert isinstance(dotenv_settings, DotEnvSettingsSource)  # noqa: S101
        env_files, dotenv_files = (_SecretFiles(settings_cls, source) for source in (env_settings, dotenv_settings))
        return init_settings, env_settings, env_files, dotenv_settings, dotenv_files

    @field_validator("retry_after", mode="before")
    @classmethod
    def _split_seconds(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("retry_after")
    @classmethod
    def _positive_seconds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 1:
            raise ValueError("seconds from 1 up, separated by commas")
        return value

    @field_validator("var_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("base_url")
    @classmethod
    def _site(cls, value: str) -> str:
        if value and not (_SITE.fullmatch(value) and _is_readable(value)):
            raise ValueError("an address like https://press.example.org, without a path")
        parts = urlsplit(value)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError("https is needed for residents to reach it safely; plain http only on loopback")
        return value.rstrip("/")

    @field_validator("smtp_url", "broker_url", "database_url", "redis_url")
    @classmethod
    def _scheme(cls, value: str, info: Any) -> str:
        known = {"smtp_url": SMTP_SCHEMES, "broker_url": BROKER_SCHEMES, "database_url": DATABASES}
        schemes = known.get(info.field_name, BROKER_SCHEMES[:4])
        scheme, found, place = value.partition("://")
        if value and (not found or scheme not in schemes):
            raise ValueError(f"it must begin with one of {', '.join(f'{name}://' for name in schemes)}")
        # The parts are not repeated: one of them may be half a password.
        if value and not (place and (scheme == "sentinel" or _is_readable(value, with_host=scheme in SMTP_SCHEMES))):
            raise ValueError("check host and port, and write odd characters of a password as %XX")
        if scheme == "sqlite" and place.partition("?")[0] in ("/", "/:memory:"):
            raise ValueError("it must name a file: every process opens it")
        return value

    @field_validator("mail_domain")
    @classmethod
    def _domain(cls, value: str) -> str:
        if value and not _DOMAIN.fullmatch(value):
            raise ValueError("a domain like press.example.org")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        for part in filter(None, (part.strip() for part in value.split(","))):
            ipaddress.ip_network(part, strict=False)
        return value

    @model_validator(mode="after")
    def _rate_limits_need_redis(self) -> "Settings":
        if self.broker_url.startswith("amqp") and not self.redis_url:
            raise ValueError("REDIS_URL is needed when BROKER_URL is amqp:// (the rate limits live there)")
        return self

    @property
    def site(self) -> str:
        """Where residents reach the site, without a slash at the end.

        Without BASE_URL, HOST or PORT it is the one that a running `up` has written down: every command's mail
        has the same links.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - a name, not a bind
        told = {"host", "port"} & self.model_fields_set
        return self.base_url or ("" if told else self._kept("site.url")) or f"http://{host}:{self.port}"

    @property
    def site_is_loopback(self) -> bool:
        """True while nobody but this machine can reach the site."""
        return is_loopback(urlsplit(self.site).hostname or "")

    @property
    def domain(self) -> str:
        """The mail domain, for Message-ID and List-Id."""
        host = urlsplit(self.site).hostname or ""
        return self.mail_domain or ("utskick.localhost" if _is_ip(host) or host == "localhost" else host)

    @property
    def database(self) -> str:
        """The SQLAlchemy URL."""
        return self.database_url or f"sqlite:///{self.var_dir / 'utskick.db'}"

    @property
    def broker(self) -> str:
        """The broker's URL, or an empty string where none is set and none of our own is running."""
        return self.broker_url or self._kept("broker.url")

    @property
    def limits_store(self) -> str:
        """The Redis URL of the rate limits, or an empty string for this process's memory."""
        broker = self.broker
        return self.redis_url or ("" if broker.startswith("amqp") else broker)

    @property
    def relay(self) -> str:
        """The relay's URL: the one set, else the mailbox of `up` while the site is on loopback."""
        if not self.smtp_url and not self.site_is_loopback:
            raise SettingsError(f"{PREFIX}SMTP_URL is needed: the relay that takes the mail")
        return self.smtp_url or f"smtp://127.0.0.1:{self.mailbox_smtp_port}"

    @property
    def secret_keys(self) -> list[str]:
        """The signing keys, newest first."""
        value = self.secret_key.get_secret_value() or self._kept("secret.key")
        keys = [key.strip() for key in value.split(",") if key.strip()]
        return [self._long_enough("SECRET_KEY", key) for key in keys] or self._missing("SECRET_KEY")

    @property
    def address_hash_key(self) -> bytes:
        """The key of address hashes; never rotated."""
        value = self.address_key.get_secret_value() or self._kept("address.key")
        return self._long_enough("ADDRESS_KEY", value or self._missing("ADDRESS_KEY")[0]).encode()

    @property
    def journals(self) -> Path:
        """Where sending processes keep their journals."""
        return self.var_dir / "journal"

    @property
    def proxies(self) -> list[str]:
        """Networks whose forwarded headers count."""
        return [part.strip() for part in self.trusted_proxies.split(",") if part.strip()]

    def _kept(self, name: str) -> str:
        try:
            return (self.var_dir / name).read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def _long_enough(self, name: str, key: str) -> str:
        if len(key) < SHORTEST_KEY:
            raise SettingsError(f"{PREFIX}{name} is too short; `openssl rand -hex 32` makes one")
        return key

    def _missing(self, name: str) -> list[str]:
        raise SettingsError(f"{PREFIX}{name} is needed (only `utskick up` and `utskick demo` make one, in VAR_DIR)")


def is_loopback(host: str) -> bool:
    """Tell whether a host name can only mean this machine."""
    return host == "localhost" or (_is_ip(host) and ipaddress.ip_address(host).is_loopback)


def _is_readable(url: str, *, with_host: bool = False) -> bool:
    try:
        parts = urlsplit(url)
        return (parts.port or 1) > 0 and bool(parts.hostname or not with_host)
    except ValueError:
        return False


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@lru_cache
def current() -> Settings:
    """Return this process's settings, read once; raise SettingsError with one clear line."""
    try:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f".env: {said}") from None
    except ValidationError as error:
        first = error.errors()[0]
        name = "".join(f"{PREFIX}{part}".upper() for part in first["loc"][:1])
        raise SettingsError(f"{name or 'settings'}: {first['msg'].removeprefix('Value error, ')}") from None
