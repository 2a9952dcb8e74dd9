"""The web process: `python -m service.web`."""

import ipaddress
import os
import socket
import sys

import structlog
import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from service import database, logs, settings, subscriptions
from service.web import create_app

log = structlog.get_logger()


def main() -> int:
    """Serve until told to stop; exit 1 with one line where that is impossible."""
    os.umask(0o077)
    logs.configure()
    try:
        config = settings.current()
        config.secret_keys, config.address_hash_key, config.relay  # noqa: B018 - shown now, not to the first visitor
        database.check_schema()
        with database.reading() as session:
            subscriptions.check_key(session)
        listener = _listen(config.host, config.port)
    except (settings.SettingsError, database.PendingMigrations) as problem:
        return _refuse(str(problem))
    except SQLAlchemyError as problem:
        return _refuse(f"the database cannot be reached: {getattr(problem, 'orig', problem)}")
    except OSError as problem:
        return _refuse(f"cannot listen on {config.host}:{config.port}: {problem.strerror}")
    log.info("listening", site=config.site)
    try:
        _server(config.proxies).run(sockets=[listener])
    except KeyboardInterrupt:
        return 0
    return 0


def _refuse(why: str) -> int:
    print(f"utskick web: {' '.join(why.split())}", file=sys.stderr)  # noqa: T201 - the operator reads it
    return 1


def _listen(host: str, port: int) -> socket.socket:
    family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
    except OSError:
        listener.close()
        raise
    return listener


def _server(proxies: list[str]) -> uvicorn.Server:
    trusted = [str(ipaddress.ip_network(part, strict=False)) for part in proxies]
    return uvicorn.Server(
        uvicorn.Config(
            create_app(),
            access_log=False,
            log_config=None,
            server_header=False,
            lifespan="off",
            proxy_headers=bool(trusted),
            forwarded_allow_ips=trusted,
            timeout_graceful_shutdown=5,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
