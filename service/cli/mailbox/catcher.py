"""The SMTP side of the mailbox: it takes everything."""

import asyncio
from typing import Any

from aiosmtpd.smtp import SMTP

from service.cli.mailbox.store import Store

NAME = "mailbox.localhost"


class Catcher:
    """What aiosmtpd asks when a mail has come."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802, ARG002 - aiosmtpd's
        """Keep the mail, or say that it was not kept."""
        try:
            mail = self.store.add(envelope.mail_from or "", ", ".join(envelope.rcpt_tos), envelope.content)
        except OSError:
            return "452 4.3.1 The mailbox cannot write just now"
        return f"250 2.0.0 Kept as {mail.id}"


async def listen(store: Store, port: int) -> asyncio.Server:
    """Take mail on a port of this machine."""
    loop = asyncio.get_running_loop()
    catcher = Catcher(store)
    return await loop.create_server(
        lambda: SMTP(catcher, hostname=NAME, ident="Utskick mailbox", enable_SMTPUTF8=True, loop=loop),
        "127.0.0.1",
        port,
        backlog=256,
    )
