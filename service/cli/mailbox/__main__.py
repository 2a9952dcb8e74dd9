"""Run the mailbox: `python -m service.cli.mailbox`."""

import asyncio
import sys

import uvicorn

from service import settings
from service.cli.mailbox import catcher, pages
from service.cli.mailbox.store import Store


async def serve(config: settings.Settings) -> None:
    """Take mail and show it until SIGTERM."""
    store = Store(config.var_dir / "mailbox")
    smtp = await catcher.listen(store, config.mailbox_smtp_port)
    web = uvicorn.Config(
        pages.make_app(store),
        host="127.0.0.1",
        port=config.mailbox_port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    async with smtp:
        await uvicorn.Server(web).serve()


def main() -> None:
    """Run until SIGTERM; say in one line why it cannot."""
    try:
        asyncio.run(serve(settings.current()))
    except (settings.SettingsError, OSError) as error:
        sys.exit(f"the mailbox cannot start: {error}")
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
