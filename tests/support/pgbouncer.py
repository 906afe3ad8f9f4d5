"""A real PgBouncer before the tests' PostgreSQL: transactions of one client go to different connections."""

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.support.broker_gateway import reserve_port
from tests.support.running_server import wait_until

CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 100
server_round_robin = 1
"""


def _option(name: str, value: str | None) -> str:
    """Return one more option of a connection; PgBouncer takes none that is empty."""
    quoted = unquote(value or "").replace("'", "''")
    return f" {name}='{quoted}'" if quoted else ""


class PgBouncer:
    """The pooler, which can go away and come back on its port."""

    def __init__(self, folder: Path, server_url: str, pool_size: int) -> None:
        server = urlsplit(server_url)
        self._reserved = reserve_port()
        self.port = self._reserved.getsockname()[1]
        self._log = folder / "pgbouncer.log"
        self._configuration = folder / "pgbouncer.ini"
        self._configuration.write_text(
            CONFIGURATION.format(
                host=server.hostname,
                port=server.port or 5432,
                user=unquote(server.username or getpass.getuser()),  # as libpq does
                password=_option("password", server.password),
                listen_port=self.port,
                pool_size=pool_size,
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        return f"postgres://pooled@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        # Debian keeps it where only root looks; it refuses to be root
        program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, "PgBouncer is not installed"
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [program, *user, str(self._configuration)], stdout=log, stderr=log
            )
        wait_until(self._answers)

    def stop(self) -> None:
        """End it as a crash does: all connections are closed in the midst."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def end(self) -> None:
        self.stop()
        self._reserved.close()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def pgbouncer(folder: Path, server_url: str, *, pool_size: int) -> Iterator[PgBouncer]:
    pooler = PgBouncer(folder, server_url, pool_size)
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.end()
