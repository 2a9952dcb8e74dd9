"""The settings: nonsense is refused with one line that names the variable; secrets in files; the defaults."""

import subprocess
import sys
from pathlib import Path

import pytest

from service import settings
from service.settings import Settings, SettingsError
from tests.service.press import configure
from tests.stack import CLI, environment

NONSENSE = [
    ("PORT", "eighty"),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("MAILBOX_PORT", "-1"),
    ("DATABASE_URL", "mysql://localhost/x"),
    ("DATABASE_URL", "sqlite"),
    ("DATABASE_URL", "postgresql://user@host:port/x"),
    ("BROKER_URL", "kafka://localhost"),
    ("BROKER_URL", "redis"),
    ("BROKER_URL", "redis://localhost:port/0"),
    ("REDIS_URL", "amqp://localhost"),
    ("SMTP_URL", "http://localhost"),
    ("SMTP_URL", "smtp"),
    ("SMTP_URL", "smtp://"),
    ("SMTP_URL", "smtp://relay:port"),
    ("SMTP_URL", "smtp://relay:99999"),
    ("SMTP_URL", "smtp://[::1"),
    ("BASE_URL", "press.example.org"),
    ("BASE_URL", "http://press.example.org"),
    ("BASE_URL", "https://press.example.org/path"),
    ("BASE_URL", "https://press.example.org?a"),
    ("BASE_URL", "https://press.example.org#a"),
    ("BASE_URL", "https://press.example.org:port"),
    ("BASE_URL", "https://user:secret@press.example.org"),
    ("BASE_URL", "https://press example.org"),
    ("BASE_URL", "ftp://press.example.org"),
    ("TRUSTED_PROXIES", "10.0.0.0/8, proxy"),
    ("MAIL_DOMAIN", "press@example.org"),
    ("MAIL_DOMAIN", "example.org\r\nBcc: all"),
    ("MAIL_DOMAIN", "exa mple"),
    ("LEASE", "soon"),
    ("LEASE", "0"),
    ("LEASE", "nan"),
    ("SWEEP_EVERY", "inf"),
    ("KEEP_DELIVERIES", "0"),
    ("KEEP_DELIVERIES", "for good"),
    ("SMTP_TIMEOUT", "-1"),
    ("RETRY_AFTER", "60,soon"),
    ("RETRY_AFTER", "60,0"),
    ("RETRY_AFTER", ","),
    ("UNCERTAIN", "maybe"),
    ("ALLOW_SMTPUTF8", "perhaps"),
    ("CHECK_DNS", "2"),
    ("VISITOR_LIMIT", "0"),
    ("NEWSROOM_LIMIT", "many"),
    ("API_LIMIT", "0"),
]


def refused() -> str:
    with pytest.raises(SettingsError) as caught:
        settings.current()
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(("name", "value"), NONSENSE)
def test_nonsense_is_refused_with_one_line_that_names_the_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, **{name: value})
    assert refused().startswith(f"UTSKICK_{name}: ")


def test_a_refusal_does_not_show_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, smtp_url="smtp://press:hemligt@relay:port")
    assert "hemligt" not in refused()


def test_a_command_says_the_line_and_nothing_else(tmp_path: Path) -> None:
    wrong = environment(tmp_path, port="eighty")
    done = subprocess.run(
        [*CLI, "newsroom", "list"], check=False, capture_output=True, text=True, env=wrong, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("utskick: UTSKICK_PORT: ")
    assert done.stderr.count("\n") == 1


def test_amqp_needs_redis_for_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, broker_url="amqp://localhost")
    assert "REDIS_URL is needed" in refused()
    configure(monkeypatch, redis_url="redis://localhost:6379/1")
    assert settings.current().limits_store == "redis://localhost:6379/1"


@pytest.mark.parametrize(
    "url",
    [
        "redis://x:1/0",
        "rediss://x",
        "redis+socket:///tmp/x.sock",
        "sentinel://a:1;sentinel://b:2",
        "sentinel://a:1,b:2",
    ],
)
def test_brokers_of_the_contract_are_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, broker_url=url)
    assert settings.current().broker == url
    assert settings.current().limits_store == url


@pytest.mark.parametrize(
    "url", ["http://localhost:8000", "http://127.0.0.1", "http://[::1]:80", "https://press.example.org"]
)
def test_https_is_needed_but_on_loopback(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, base_url=f"{url}/")
    assert settings.current().site == url
    assert settings.current().site_is_loopback == url.startswith("http:")


@pytest.mark.parametrize(
    ("given", "site", "domain"),
    [
        ({}, "http://127.0.0.1:8000", "utskick.localhost"),
        ({"host": "0.0.0.0", "port": 81}, "http://127.0.0.1:81", "utskick.localhost"),
        ({"host": "::"}, "http://[::1]:8000", "utskick.localhost"),
        ({"base_url": "http://localhost:9000"}, "http://localhost:9000", "utskick.localhost"),
        ({"base_url": "https://192.0.2.1"}, "https://192.0.2.1", "utskick.localhost"),
        ({"base_url": "https://press.example.org"}, "https://press.example.org", "press.example.org"),
        (
            {"base_url": "https://press.example.org", "mail_domain": "example.org"},
            "https://press.example.org",
            "example.org",
        ),
    ],
)
def test_the_site_and_its_mail_domain(
    given: dict[str, object], site: str, domain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, **given)
    assert (settings.current().site, settings.current().domain) == (site, domain)


def test_the_defaults_of_the_contract() -> None:
    fields = Settings.model_fields
    wanted = {
        "var_dir": Path("var"), "host": "127.0.0.1", "port": 8000, "lease": 30, "sweep_every": 5,
        "uncertain": "resend", "allow_smtputf8": False, "mailbox_port": 8025, "mailbox_smtp_port": 1025,
        "trusted_proxies": "", "mail_domain": "",
    }  # fmt: skip
    assert {name: fields[name].default for name in wanted} == wanted


def test_the_database_and_the_mailbox_by_default(tmp_path: Path) -> None:
    config = settings.current()
    assert config.database == f"sqlite:///{tmp_path / 'var' / 'utskick.db'}"
    assert config.relay == "smtp://127.0.0.1:1025"


def test_a_relay_is_needed_once_residents_reach_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, base_url="https://press.example.org")
    with pytest.raises(SettingsError, match=r"^UTSKICK_SMTP_URL is needed"):
        _ = settings.current().relay


@pytest.mark.parametrize("name", ["secret_key", "address_key"])
def test_a_key_is_needed_and_found_where_up_made_it(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(f"UTSKICK_{name.upper()}")
    with pytest.raises(SettingsError, match=f"^UTSKICK_{name.upper()} is needed"):
        key(name)
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / name.replace("_", ".")).with_suffix(".key").write_text("made once\n")
    assert key(name) == "made once"


def key(name: str) -> str:
    config = settings.current()
    return config.secret_keys[0] if name == "secret_key" else config.address_hash_key.decode()


def test_the_broker_of_up_is_found_in_its_file(tmp_path: Path) -> None:
    assert settings.current().broker == ""
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "broker.url").write_text("redis+socket:///tmp/x.sock\n")
    assert settings.current().broker == "redis+socket:///tmp/x.sock"


def test_several_keys_for_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, secret_key=" the new one , the old one,")
    assert settings.current().secret_keys == ["the new one", "the old one"]


@pytest.mark.parametrize("name", ["secret_key", "address_key"])
def test_a_key_that_was_never_meant_as_one(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    configure(monkeypatch, **{name: "…"})
    with pytest.raises(SettingsError, match=f"UTSKICK_{name.upper()} is too short"):
        _ = settings.current().secret_keys, settings.current().address_hash_key


def test_the_site_of_a_running_up_counts_where_nothing_else_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    var_dir = settings.current().var_dir
    var_dir.mkdir(parents=True, exist_ok=True)
    (var_dir / "site.url").write_text("http://127.0.0.1:8301\n")
    assert settings.current().site == "http://127.0.0.1:8301"
    configure(monkeypatch, port=8400)
    assert settings.current().site == "http://127.0.0.1:8400"
    configure(monkeypatch, base_url="https://press.example.org")
    assert settings.current().site == "https://press.example.org"


def test_a_secret_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("ur filen\n")
    monkeypatch.delenv("UTSKICK_SECRET_KEY")
    configure(monkeypatch, secret_key_file=tmp_path / "secret")
    assert settings.current().secret_keys == ["ur filen"]
    assert "ur filen" not in repr(settings.current())


def test_a_secret_file_that_env_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("smtp://press:hemligt@relay.example.org:25\n")
    (tmp_path / ".env").write_text(f"UTSKICK_SMTP_URL_FILE={tmp_path / 'url'}\nUTSKICK_PORT=8123\n")
    config = settings.current()
    assert (config.relay, config.port) == ("smtp://press:hemligt@relay.example.org:25", 8123)
    configure(monkeypatch, port=8124)
    assert settings.current().port == 8124, "the environment comes before .env"


def test_a_secret_file_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    configure(monkeypatch, address_key_file=tmp_path / "nowhere")
    assert refused().startswith("UTSKICK_ADDRESS_KEY_FILE=")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    configure(monkeypatch, address_key_file=tmp_path / "bytes")
    assert refused().startswith("UTSKICK_ADDRESS_KEY_FILE=")


def test_a_wrong_env_file_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("UTSKICK_PORT=eighty\n")
    assert refused().startswith("UTSKICK_PORT: ")
    settings.current.cache_clear()
    (tmp_path / ".env").write_bytes(b"UTSKICK_HOST=\xff\n")
    assert ".env" in refused()


def test_settings_need_no_terminal_nor_directory() -> None:
    code = "from service import settings; print(settings.current().site)"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment(Path("/nonexistent"))
    )
    assert done.stdout == "http://127.0.0.1:8000\n"
