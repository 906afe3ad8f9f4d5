"""The service itself, behind a real server on loopback, in a thread of the test's own process."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx2
import msgspec
import openai
import uvicorn
import uvloop
from blockbuster import BlockBuster
from celery import Celery
from celery.worker import WorkController, state
from django.core.asgi import get_asgi_application
from django.db import connection

from chatapi.celery import app as celery_app
from chatapi.completions.runs.pump import Pump
from chatapi.completions.service import CompletionService
from chatapi.env import ROOT
from chatapi.routing import make_application
from chatapi.serving.embedded_worker import EmbeddedWorker
from chatapi.serving.http_protocol import BoundedHttpProtocol
from engines.base import Engine
from engines.model_spec import ModelSpec
from engines.served_models import current_registry
from tests.support.people import Person

T = TypeVar("T")

OUR_PACKAGES = ["accounts", "billing", "chatapi", "conversations", "core", "engines", "media"]
WORKER = "test-worker"
PATHS = {"native": "/chat/completions", "openai": "/v1/chat/completions"}


class Server:
    """A running service with the models of tests/models.toml."""

    def __init__(self, url: str, service: CompletionService, loop: asyncio.AbstractEventLoop) -> None:
        self.url = url
        self.service = service
        self.loop = loop

    def client(self, who: Person | None = None, **headers: str) -> httpx2.Client:
        """An HTTP client with the person's key."""
        identity = who.headers if who else {}
        # loopback needs no certificates: reading their bundle would take 40 ms per client
        return httpx2.Client(base_url=self.url, headers={**identity, **headers}, timeout=20, verify=False)

    def sdk(self, who: Person, **options: Any) -> openai.OpenAI:
        """OpenAI's own client with the person's key."""
        return openai.OpenAI(
            api_key=who.key,
            base_url=f"{self.url}/v1",
            http_client=openai.DefaultHttpxClient(verify=False),
            **{"max_retries": 0, "timeout": 60, **options},
        )

    @property
    def is_idle(self) -> bool:
        """Whether no completion is running."""
        return not self.service.pumps

    def only_pump(self) -> Pump:
        """The pump of the only completion that is running."""
        [pump] = self.service.pumps.values()
        return pump

    def until_idle(self) -> None:
        """Wait until no completion is running."""
        wait_until(lambda: self.is_idle)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the service's own event loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=30)

    @contextmanager
    def with_model(self, spec: ModelSpec, engine: Engine | None = None) -> Iterator[None]:
        """Serve one more model until the block ends, or change one."""
        registry = self.service.registry
        before = registry.find(spec.id)
        its_engine = registry.engine(before) if before else None
        registry.add(spec, engine)
        try:
            yield
        finally:
            self.until_idle()
            if before:
                registry.add(before, its_engine)
            else:
                self.run(registry.remove(spec.id))


def start_worker() -> None:
    """Start a worker for background tasks, as `manage.py run` does; it lives as long as this process."""
    if _is_worker_running():
        return
    os.environ["CELERY_SKIP_CHECKS"] = "1"
    worker = WorkController(
        app=celery_app,
        pool="threads",
        concurrency=4,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    threading.Thread(target=worker.start, name=WORKER, daemon=True).start()


@contextmanager
def without_worker() -> Iterator[None]:
    """Stop our worker while the block runs its own: Celery has one switch for all workers in a process."""
    was_running = _is_worker_running()
    if was_running:
        state.should_stop = os.EX_OK  # type: ignore[assignment]
        wake_workers()
        wait_until(lambda: not _is_worker_running())
        state.should_stop = None
    try:
        yield
    finally:
        if was_running:
            start_worker()


@contextmanager
def embedded_worker(
    schedule: dict[str, Any], make: Callable[[Celery], EmbeddedWorker] = EmbeddedWorker
) -> Iterator[EmbeddedWorker]:
    """Run the product's embedded worker, and no other, on the test's own schedule."""
    ordinary = celery_app.conf.beat_schedule
    with without_worker():
        celery_app.conf.beat_schedule = schedule
        celery_app.control.purge()
        worker = make(celery_app)
        worker.start()
        try:
            yield worker
        finally:
            worker.stop()
            wake_workers()
            names = {"celery-worker", "celery-beat"}
            wait_until(lambda: not names & {thread.name for thread in threading.enumerate()})
            assert worker.wait(60)
            state.should_stop = None
            celery_app.control.purge()
            celery_app.conf.beat_schedule = ordinary


def wake_workers() -> None:
    """Wake the workers, so that they check whether to stop.

    They check when a message arrives and then wait for one more. Without messages each takes 2 s.
    """
    for _ in range(2):
        celery_app.control.broadcast("ping")


def _is_worker_running() -> bool:
    return WORKER in {thread.name for thread in threading.enumerate()}


@contextmanager
def serving(**options: Any) -> Iterator[Server]:
    """Serve the ASGI application until the block ends; a blocking call in its loop is an error.

    The options are `make_application`'s.
    """
    start_worker()
    service = CompletionService(current_registry())
    application = make_application(get_asgi_application(), service, **options)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application,
        http=BoundedHttpProtocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve(sockets=[listener])

    def run() -> None:
        # the product's loop; asyncio's own leaves Nagle's algorithm on, which costs 40 ms per request
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())

    guard = BlockBuster(scanned_modules=OUR_PACKAGES)
    guard.activate()
    thread = threading.Thread(target=run, name="test-server")
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        host, port = listener.getsockname()
        yield Server(f"http://{host}:{port}", service, loops[0])
    finally:
        server.should_exit = True
        thread.join(timeout=15)
        guard.deactivate()
        assert not thread.is_alive(), "the server did not stop"


@contextmanager
def running_daphne() -> Iterator[str]:
    """Run `manage.py runserver` as a separate process, on this test's database. Yield its address."""
    command = [sys.executable, "manage.py", "runserver", "--noreload", "--nostatic", "127.0.0.1:0"]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "chatapi.settings",
        "DATABASE_URL": database_url(),
        "PYTHONUNBUFFERED": "1",
        # it lives on when a test's database is emptied, and would write its calls a second later
        "CHATAPI_REQUESTS_KEPT_DAYS": "0",
    }
    process = subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    output = process.stdout
    assert output is not None
    draining = None
    try:
        listening = next(found for line in output if (found := re.search(r"address (127\S+:\d+)", line)))
        draining = threading.Thread(target=output.read)  # so that its pipe never fills
        draining.start()
        yield f"http://{listening[1]}"
    finally:
        process.terminate()
        process.wait(timeout=10)
        if draining:
            draining.join()
        output.close()


def database_url() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    address = f"{database['HOST']}:{database['PORT'] or 5432}"
    return f"postgres://{database['USER']}:{database['PASSWORD']}@{address}/{database['NAME']}"


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def events(response: httpx2.Response) -> list[Any]:
    """The decoded JSON of every `data:` event of a complete stream; `[DONE]` stays text."""
    return [
        data if data == "[DONE]" else msgspec.json.decode(data)
        for line in response.text.split("\n")
        if line.startswith("data: ") and (data := line.removeprefix("data: "))
    ]


def text_of(chunks: Sequence[Any], choice: int = 0) -> str:
    """The concatenated content deltas of one choice."""
    return "".join(
        found["delta"].get("content") or ""
        for chunk in chunks
        if isinstance(chunk, dict)
        for found in chunk.get("choices", ())
        if found["index"] == choice
    )


def chat_body(text: str, **more: Any) -> dict[str, Any]:
    """A body for `POST /v1/chat/completions` with one user message."""
    return {"model": "scripted", "messages": [{"role": "user", "content": text}], **more}
