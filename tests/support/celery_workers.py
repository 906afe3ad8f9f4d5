"""Real Celery processes on real brokers, and helpers for the tests that use them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import redis
from celery import Celery
from django.conf import settings
from kombu import Queue

from chatapi.env import ROOT
from media.models import Asset, File, Rendition, asset_id
from media.services import StoredFile, register_files, store_bytes
from tests.support.people import Person
from tests.support.processes import children, descendants, is_alive, is_sandbox_worker, kill
from tests.support.run_command import clean_environment
from tests.support.running_server import database_url, wait_until

QUEUES = ("default", "media", "awaited", "billing")
PATIENCE = 90.0
"""Seconds. Processes have to start within it, on machines that do other things too."""


class Process:
    """A running `celery` command and its output."""

    def __init__(self, output: Path, command: list[str], environment: dict[str, str]) -> None:
        self._output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "chatapi", *command],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def sandbox_workers(self) -> list[int]:
        return [pid for pid in descendants(self.process.pid) if is_sandbox_worker(pid)]

    @property
    def pool(self) -> list[int]:
        """The child processes in which a prefork worker runs its tasks."""
        return [pid for pid in children(self.process.pid) if not is_sandbox_worker(pid)]

    def stop(self, number: int = signal.SIGTERM, *, within: float = PATIENCE) -> int:
        self.process.send_signal(number)
        return self.process.wait(within)

    def end(self) -> None:
        """Kill the process and all its descendants."""
        if self.process.poll() is None:
            family = descendants(self.process.pid)
            for pid in (self.process.pid, *family):
                kill(pid)
            self.process.wait()
            wait_until(lambda: not any(is_alive(pid) for pid in family), PATIENCE)


class CeleryCluster:
    """A broker with queues for this test alone, and the processes that use it, on the test's database."""

    def __init__(self, broker: str, folder: Path) -> None:
        self.broker = self._own_broker = broker
        self.folder = folder
        self.prefix = f"test-{uuid4().hex[:12]}-"
        self._processes: list[Process] = []
        self._sender = Celery("sender", broker=broker, set_as_current=False)
        self._sender.conf.task_queues = [self._queue(name) for name in QUEUES]
        self._sender.conf.broker_transport_options = self._options

    @property
    def _options(self) -> dict[str, str]:
        return {"global_keyprefix": self.prefix} if self._own_broker.startswith("redis") else {}

    def _queue(self, name: str) -> Queue:
        return Queue(self.prefix + name, routing_key=self.prefix + name, expires=300)

    def environment(self, **more: str) -> dict[str, str]:
        ours = {
            "DJANGO_SETTINGS_MODULE": "tests.services.settings",
            "CHATAPI_TEST_PREFIX": self.prefix,
            "DATABASE_URL": database_url(),
            "CELERY_BROKER_URL": self.broker,
            "CHATAPI_SECRET_KEY": settings.SECRET_KEY,
        }
        return clean_environment(Path(settings.DATA_DIR), **{**ours, **more})

    def send(self, task: str, *arguments: object, queue: str = "media", **options: Any) -> None:
        self._sender.send_task(task, arguments, queue=self.prefix + queue, **options)

    def make_due(self, **options: Any) -> None:
        self.send("media.renditions.tasks.make_due", **options)

    def worker(self, *arguments: str, queues: tuple[str, ...] = (), **environment: str) -> Process:
        """Start a worker and wait until it is ready. It reads from all queues if none is named."""
        ready = self.folder / uuid4().hex
        command = ["worker", "--without-mingle", "--hostname", f"{ready.name}@%h", *arguments]
        if queues:
            command += ["--queues", ",".join(self.prefix + name for name in queues)]
        worker = self.start(command, CHATAPI_TEST_READY=str(ready), **environment)
        wait_until(lambda: ready.exists() or worker.process.poll() is not None, PATIENCE)
        assert ready.exists(), worker.output
        return worker

    def start(self, command: list[str], **environment: str) -> Process:
        output = self.folder / f"{uuid4().hex}.log"
        process = Process(output, command, self.environment(**environment))
        self._processes.append(process)
        return process

    def end(self) -> None:
        for process in self._processes:
            process.end()
        self._sender.close()
        if self._own_broker.startswith("redis"):
            with redis.Redis.from_url(self._own_broker) as connection:
                if names := connection.keys(f"*{self.prefix}*"):
                    connection.delete(*names)


@contextmanager
def celery_cluster(broker: str, folder: Path) -> Iterator[CeleryCluster]:
    made = CeleryCluster(broker, folder)
    try:
        yield made
    finally:
        made.end()


def service_url(variable: str) -> str:
    return os.environ[variable]


def store_asset(who: Person, data: bytes, file: StoredFile) -> Asset:
    """Store an asset that a file holds, with its renditions pending."""
    store_bytes(who.workspace.id, {file.blob.sha256: data})
    register_files([(who.workspace.id, file)])
    asset = Asset.objects.get(id=asset_id(who.workspace.id, file.blob.sha256))
    File.objects.create(
        workspace=who.workspace, user=who.user, asset=asset, filename="x", purpose="user_data"
    )
    return asset


def state_of(rendition: UUID) -> str:
    return str(Rendition.objects.values_list("state", flat=True).get(id=rendition))
