"""The parts of `manage.py run`, one by one."""

import asyncio
import gc
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from celery import Celery, shared_task
from celery.worker import WorkController
from django.contrib.auth import authenticate
from django.core import checks
from django.db import connection
from pytest_django import Settings
from starlette.types import Receive, Scope, Send

from accounts.models import ApiKey, User, Workspace
from accounts.secret_digests import digest_of
from chatapi.serving import console, first_start, preflight
from chatapi.serving.data_folder import keep_secret
from chatapi.serving.embedded_worker import EmbeddedWorker
from chatapi.serving.exceptions import CannotStart
from chatapi.serving.server import Server, config_for
from tests.support.people import Person
from tests.support.running_server import embedded_worker


def test_a_full_disk_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"is full: \d+ MB left, at least 1000000000000 MB are needed"):
        preflight.check_storage(tmp_path, needed=10**18)


def test_a_web_server_of_another_kind_needs_the_secret_key_that_is_kept(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATA_DIR = tmp_path
    monkeypatch.setitem(
        settings.DATABASES, "default", {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    )
    with pytest.raises(CannotStart, match=f"neither CHATAPI_SECRET_KEY nor {tmp_path}/secret.key"):
        preflight.check_files()
    keep_secret(tmp_path, "secret")
    assert preflight.check_files() == []


def test_of_two_that_prepare_the_database_the_second_says_that_it_waits_and_not_for_ever(
    transactional_db: None,
) -> None:
    said: list[str] = []
    held, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with first_start.preparation_lock(said.append):
                held.set()
                may_end.wait(60)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(hold)
        assert held.wait(10)
        with (
            pytest.raises(CannotStart, match="another process has been preparing the database for 0 s"),
            first_start.preparation_lock(said.append, patience=0.3),
        ):
            raise AssertionError
        [line] = said
        assert re.fullmatch(r"Waiting for another process, which prepares the database \(\d+ s\)…", line)
        may_end.set()
        first.result(10)
    with first_start.preparation_lock(said.append):
        assert len(said) == 1


def test_two_servers_cannot_have_one_port() -> None:
    with preflight.bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(CannotStart, match=f"port {port} of 127.0.0.1 is taken"):
            preflight.bind("127.0.0.1", port)


async def test_collecting_garbage_does_not_go_through_what_was_loaded_before_the_start() -> None:
    loaded = [[number] for number in range(1000)]
    before = gc.get_freeze_count()

    async def watch() -> None:
        server.should_exit = True

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})

    server = Server(config_for(application), lambda: None, watch)
    with preflight.bind("127.0.0.1", 0) as listener:
        await server.serve(sockets=[listener])
    assert gc.get_freeze_count() >= before + len(loaded)


def test_a_failing_system_check_stops_the_start() -> None:
    found = [
        checks.Warning("a little odd", hint="Mend it.", id="x.W001"),
        checks.Error("quite\nwrong", id="x.E001"),
    ]
    assert preflight.warnings_in(found[:1]) == ["x.W001: a little odd Mend it."]
    with pytest.raises(CannotStart, match=r"^x\.E001: quite wrong$"):
        preflight.warnings_in(found)


def test_the_first_admin_can_sign_in_and_ask(db: None) -> None:
    credentials = first_start.create_first_credentials()
    assert credentials is not None
    admin = authenticate(username=credentials.email, password=credentials.password)
    assert isinstance(admin, User)
    assert admin.is_superuser
    key = ApiKey.objects.get(secrets__digest=digest_of(credentials.api_key))
    assert key.workspace == Workspace.objects.get(personal_of=admin)
    assert first_start.create_first_credentials() is None
    assert ApiKey.objects.count() == 1


def test_no_admin_is_created_if_there_is_an_account_already(alice: Person) -> None:
    assert first_start.create_first_credentials() is None


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1"])
def test_the_address_shown_is_one_that_can_be_opened(host: str) -> None:
    """It is a name, since browsers allow security keys at no address."""
    with preflight.bind(host, 0) as listener:
        address = console.Address.of(listener)
        assert address.url == f"http://localhost:{listener.getsockname()[1]}"
        socket.create_connection(address, timeout=5).close()


async def test_ready_is_printed_once_health_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    answers = iter(
        [
            (503, b'{"error":{"message":"The model is loading."}}'),
            (503, b'{"error":{"message":"The model is loading."}}'),
            (503, b"<html>"),
            (200, b'{"status":"ok"}'),
        ]
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(
            b"GET /healthz HTTP/1.0\r\nHost: chat.test\r\n"
        )
        status, body = next(answers)
        writer.write(b"HTTP/1.1 %d .\r\n\r\n%s" % (status, body))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        address = console.Address.of(server.sockets[0])
        await console.report_readiness(address, "chat.test", console.ConsoleProgress(), patience=0)
    *waiting, ready = capsys.readouterr().out.splitlines()
    assert waiting == [
        "Not ready yet: The model is loading.",
        "Not ready yet: /healthz answered 503",
    ]
    assert ready.startswith(f"Ready: {address.url} (sign-in {address.url}/accounts/")


def test_the_engines_progress_is_printed_without_a_timestamp(capsys: pytest.CaptureFixture[str]) -> None:
    progress = console.ConsoleProgress()
    progress.begin()
    logging.getLogger("engines.local").warning("Joining the model: %d %%", 40)
    progress.end()
    logging.getLogger("engines.local").warning("not shown like that")
    assert capsys.readouterr().out == "  Joining the model: 40 %\n"


class Signals:
    """Events that the tasks of these tests set and wait for."""

    begun = threading.Event()
    may_end = threading.Event()
    due = threading.Event()


@shared_task(name="tests.long")
def long() -> None:
    Signals.begun.set()
    Signals.may_end.wait(60)


@shared_task(name="tests.due")
def due() -> None:
    Signals.due.set()


class EndedWorker(WorkController):
    """A worker that ends at once, as it does after an internal error, which it logs."""

    def start(self) -> None:
        pass


class Unfortunate(EmbeddedWorker):
    """An embedded worker whose first worker ends at once."""

    worker_class: type[WorkController] = EndedWorker

    def create_worker(self) -> WorkController:
        worker = super().create_worker()
        self.worker_class = WorkController
        return worker


@contextmanager
def working(make: Callable[[Celery], EmbeddedWorker]) -> Iterator[EmbeddedWorker]:
    for event in (Signals.begun, Signals.may_end, Signals.due):
        event.clear()
    with embedded_worker({"often": {"task": "tests.due", "schedule": 0.1}}, make) as worker:
        yield worker
        Signals.may_end.set()


@pytest.fixture
def worker() -> Iterator[EmbeddedWorker]:
    """The product's own worker, with a schedule for these tests."""
    with working(EmbeddedWorker) as worker:
        yield worker


def test_the_embedded_worker_does_what_is_sent_and_what_is_due(worker: EmbeddedWorker) -> None:
    Signals.may_end.set()
    long.delay()
    assert Signals.begun.wait(10)
    assert Signals.due.wait(10)
    worker.stop()
    assert worker.wait(10)


def test_a_stop_waits_for_the_task_that_runs(worker: EmbeddedWorker) -> None:
    long.delay()
    assert Signals.begun.wait(10)
    worker.stop()
    assert not worker.wait(0.1)
    Signals.may_end.set()
    assert worker.wait(10)


def test_a_worker_that_ended_by_itself_is_replaced() -> None:
    with working(partial(Unfortunate, restart_delay=0.05)):
        Signals.may_end.set()
        long.delay()
        assert Signals.begun.wait(10)
