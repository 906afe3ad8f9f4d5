"""`manage.py run` as a separate process, with a data folder of the test's own."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from chatapi.env import ROOT
from tests.support.running_server import wait_until

MODELS = Path(__file__).parents[1] / "models.toml"


def clean_environment(data: Path, **environment: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHATAPI_", "CELERY_", "DJANGO_", "PYTEST_"))
        and name not in {"DATABASE_URL", "REDIS_URL", "HOST", "PORT"}
    }
    ours = {"PORT": "0", "CHATAPI_DATA_DIR": str(data), "CHATAPI_MODELS_FILE": str(MODELS)}
    return {**kept, **ours, **environment}


def manage(data: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of `manage.py` under the usual umask."""
    return run_python("manage.py", *arguments, **clean_environment(data, **environment))


def run_python(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        umask=0o022,
        check=False,
    )


class Run:
    """The process and what it has written so far."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "run"],
            cwd=ROOT,
            env=clean_environment(data, **environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            umask=0o022,
        )
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._readers = [
            threading.Thread(target=lines.extend, args=(stream,))
            for lines, stream in ((self.lines, self.process.stdout), (self.errors, self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def output(self) -> str:
        return "".join(self.lines)

    @property
    def error_output(self) -> str:
        """Standard error without what is no error: security events, such as the first key, and calls."""
        return "".join(
            line for line in self.errors if " INFO accounts.security: " not in line and line[0] != "{"
        )

    @property
    def url(self) -> str:
        """The address it serves; waits until it says that it is ready."""
        wait_until(lambda: "Ready: " in self.output or self.process.poll() is not None)
        ready = re.search(r"^Ready: (\S+)", self.output, re.MULTILINE)
        assert ready, self.output + self.error_output
        return str(ready[1])

    @property
    def api_key(self) -> str:
        assert self.url
        return str(re.findall(r"API key +(\S+)", self.output)[0])

    def client(self, api_key: str = "") -> httpx2.Client:
        """An HTTP client with this key, or with none."""
        identity = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # loopback needs no certificates: reading their bundle would take 40 ms per client
        return httpx2.Client(base_url=self.url, headers=identity, timeout=20, verify=False)

    def send(self, path: str, api_key: str, body: bytes, **headers: str) -> socket.socket:
        """Send a request with a JSON body, and return its connection, from which nothing has been read.

        Names of headers are written with underscores; an empty value leaves one of ours out.
        """
        fields = {
            "Host": "127.0.0.1",
            "Authorization": f"Bearer {api_key}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items() if value)]
        connection = self.connect()
        connection.sendall("\r\n".join([*lines, "\r\n"]).encode() + body)
        return connection

    def connect(self) -> socket.socket:
        address = urlsplit(self.url)
        return socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20)

    def stop(self, number: int = signal.SIGTERM, *, within: float = 60) -> int:
        """Send the signal. Return the exit status."""
        self.process.send_signal(number)
        return self.wait(within)

    def wait(self, seconds: float = 30) -> int:
        status = self.process.wait(seconds)
        for reader in self._readers:
            reader.join()
        return status

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream
            stream.close()


@contextmanager
def running(data: Path, **environment: str) -> Iterator[Run]:
    run = Run(data, **environment)
    try:
        yield run
    finally:
        run.end()
