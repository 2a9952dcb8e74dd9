"""`utskick demo`: `up` with a fictional newsroom, seeded once, and settings that reach nobody outside."""

import os

from service import settings
from service.cli import valkey, vardir
from service.cli.demo import seeding
from service.cli.up import Machine, told_why

HARMLESS = {
    "DATABASE_URL": "sqlite:////nonexistent/utskick.db",
    "BROKER_URL": "redis://127.0.0.1:1",
    "REDIS_URL": "redis://127.0.0.1:1",
    "SMTP_URL": "smtp://127.0.0.1:1",
    "BASE_URL": "http://127.0.0.1:1",
}
"""What the demo ignores, lest it mail real people; empty values would not hide those of `.env`."""


def demo() -> None:
    """Show the whole service: a fictional newsroom, its followers, a release published and mailed."""
    with told_why("demo"):
        asked = _without_pinned()
        with vardir.hold(asked.var_dir) as was_killed:
            socket = valkey.choose_socket(asked.var_dir)
            _pin(asked, valkey.url(socket))
            config = settings.current()
            machine = Machine(config, socket, mailbox=True)
            seed = seeding.Seeding(config, machine.voice)
            machine.run(was_killed, before=seed.prepare, then=seed.publish)


def _without_pinned() -> settings.Settings:
    """Read the settings with nothing real in them, whatever the environment and `.env` say."""
    for name, value in HARMLESS.items():
        os.environ[f"{settings.PREFIX}{name}"] = value
        os.environ.pop(f"{settings.PREFIX}{name}_FILE", None)
    settings.current.cache_clear()
    return settings.current()


def _pin(asked: settings.Settings, broker: str) -> None:
    """Set what the demo ignores to this machine's own, for us and for the processes that we start."""
    own = asked.model_copy(update={"base_url": ""})
    values = {
        "DATABASE_URL": f"sqlite:///{asked.var_dir / 'utskick.db'}",
        "BROKER_URL": broker,
        "REDIS_URL": broker,
        "SMTP_URL": f"smtp://127.0.0.1:{asked.mailbox_smtp_port}",
        "BASE_URL": own.site,
    }
    os.environ.update({f"{settings.PREFIX}{name}": value for name, value in values.items()})
    settings.current.cache_clear()
