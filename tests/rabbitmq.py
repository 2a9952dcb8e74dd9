"""A RabbitMQ node of our own on free loopback ports, with the ways to upset it that `servers.Broker` has."""

import os
import pwd
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import amqp

from service import broker
from tests.servers import Broker, end, free_port, require, spawn, wait

SCRIPTS = "/usr/lib/rabbitmq/bin"
"""Debian's rabbitmq-server lies in /usr/sbin too, where it wants the machine's own directories."""

QUEUES = sorted(set(broker.ROUTES.values()))


class RabbitMQ:
    """One node with an epmd of its own, and the Valkey that rate limits need beside it."""

    def __init__(self) -> None:
        own = Path(SCRIPTS, "rabbitmq-server")
        self.program = str(own) if own.exists() else require("rabbitmq-server", "rabbitmq-server")
        self.folder = Path(tempfile.mkdtemp(prefix="utskick-rabbitmq-"))
        self.identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = pwd.getpwnam("rabbitmq")
            self.identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self.port, self.between, self.names = free_port(), free_port(), free_port()
        self.limits = Broker()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.settings = {"broker_url": self.url, "redis_url": self.limits.url}
        self.log = self.folder / "server.log"
        self.epmd = self._spawn([require("epmd", "erlang-base"), "-address", "127.0.0.1", "-port", str(self.names)])
        self.start()
        self.kinds()
        # RabbitMQ 3.10 may not bring back a quorum queue that was made a moment before a kill: see docs/operating.md.
        end(self.process)
        self.start()

    def _spawn(self, command: list[str]) -> Any:
        return spawn(command, self.log, cwd=self.folder, env=self._environment(), **self.identity)

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([SCRIPTS, os.defpath, "/usr/sbin"])
        files = {"MNESIA_BASE": "mnesia", "LOG_BASE": "log", "ENABLED_PLUGINS_FILE": "plugins", "CONFIG_FILE": "conf"}
        files |= {"CONF_ENV_FILE": "conf-env", "ADVANCED_CONFIG_FILE": "advanced", "GENERATED_CONFIG_DIR": "made"}
        node = {"NODENAME": f"test{self.port}@localhost", "NODE_IP_ADDRESS": "127.0.0.1", "NODE_PORT": str(self.port)}
        node |= {"DIST_PORT": str(self.between)}
        node |= {"SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false"}
        node |= {name: str(self.folder / file) for name, file in files.items()}
        erlang = {"ERL_EPMD_PORT": str(self.names), "ERL_EPMD_ADDRESS": "127.0.0.1"}
        # Under systemd its script becomes the node: no shell stands between us and the process to kill.
        usual = {"PATH": path, "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "RUNNING_UNDER_SYSTEMD": "true"}
        return usual | erlang | {f"RABBITMQ_{name}": value for name, value in node.items()}

    def start(self) -> None:
        """Start the node, again after `kill`; what it had is still there."""
        self.process = self._spawn([self.program])
        wait(self._answers, what=f"RabbitMQ, see {self.log}")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            with self._connection():
                return True
        except OSError:
            return False

    def _connection(self) -> Any:
        return amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=2, read_timeout=10)

    def flush(self) -> None:
        """Purge all queues."""
        with self._connection() as connection:
            for queue in QUEUES:
                with suppress(amqp.NotFound), connection.channel() as channel:
                    channel.queue_purge(queue)

    def kinds(self) -> dict[str, int]:
        """Return how many messages wait in each quorum queue; a queue of another kind raises PreconditionFailed."""
        waiting = {}
        with self._connection() as connection:
            for queue in QUEUES:
                with connection.channel() as channel:
                    quorum = {"x-queue-type": "quorum"}
                    declared = channel.queue_declare(queue, durable=True, auto_delete=False, arguments=quorum)
                    waiting[queue] = declared.message_count
        return waiting

    def pause(self) -> None:
        """Hang: connections are taken, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Be gone: connections are refused."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End the node, its epmd and the Valkey, and remove all they had."""
        self.kill()
        end(self.epmd)
        self.limits.close()
        shutil.rmtree(self.folder, ignore_errors=True)


AnyBroker = Broker | RabbitMQ


def open_broker(kind: str) -> AnyBroker:
    """Start a broker of a kind: valkey, redis-server or rabbitmq; Missing where the machine has none."""
    return RabbitMQ() if kind == "rabbitmq" else Broker(kind)
