"""`manage.py run` from the first start to the last signal."""

import os
import re
import shlex
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from billing.models import Charge
from conversations.models import Completion, Message, SearchDocument, SearchMark
from tests.support.people import Person
from tests.support.priced_usage import COMPLETION, add_credit, assert_ledger_adds_up
from tests.support.run_command import Run, running
from tests.support.running_server import chat_body, database_url, events, text_of, wait_until


def is_open(url: str) -> bool:
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((str(address.hostname), int(address.port or 0))) == 0


@pytest.fixture
def default_hangup() -> Iterator[None]:
    """Undo what `nohup make test` passes on: that SIGHUP is ignored, which the service respects."""
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, previous)


@pytest.mark.usefixtures("default_hangup")
def test_the_first_start_greets_and_no_other_does(tmp_path: Path) -> None:
    with running(tmp_path) as one, running(tmp_path) as other:
        assert one.url != other.url
        first, twin = (one, other) if "API key" in one.output else (other, one)
        assert "API key" not in twin.output
        url, key = first.url, first.api_key
        assert re.search(r"email +admin@localhost\n +password +\S{16}\n", first.output)
        assert f"{url}/admin/" in first.output
        assert_commands_can_be_pasted(first)
        with first.client(key) as client:
            native = client.post("/chat/completions", json=chat_body("Hello there"))
            openai = client.post("/v1/chat/completions", json=chat_body("Hello there", stream=True))
            models = client.get("/v1/models").json()
            assert client.get("/healthz").status_code == client.get("/livez").status_code == 200
        assert text_of(events(native)) == text_of(events(openai)) == "You said: Hello there"
        assert models["data"][0]["id"] == "scripted"
        assert first.stop() == 0
        assert first.lines[-1] == "Stopped.\n"
        assert not is_open(url)
        logged, *calls = first.errors
        assert "accounts.security: key_created user=1 email=admin@localhost" in logged
        assert {(call["route"], call["status"]) for call in map(msgspec.json.decode, calls)} == {
            ("/chat/completions", 200),
            ("/v1/chat/completions", 200),
            ("/v1/models", 200),
        }
        assert open_to_others(tmp_path) == []
        assert twin.stop(signal.SIGHUP) == 0  # its terminal was closed

    with running(tmp_path) as second:
        with second.client(key) as client:
            assert client.get("/v1/conversations").json()["data"]
        assert second.stop(signal.SIGINT) == 0
        assert "key" not in second.output
        assert second.error_output == ""


def open_to_others(data: Path) -> list[Path]:
    """What others than the service's user may look into, though it was started under the usual umask."""
    assert {"chatapi.sqlite3", "secret.key", "journals"} <= {path.name for path in data.iterdir()}
    # rglob fails where a folder is deleted meanwhile
    paths = [Path(folder, name) for folder, folders, files in os.walk(data) for name in (*folders, *files)]
    return [path for path in paths if is_open_to_others(path)]


def is_open_to_others(path: Path) -> bool:
    with suppress(FileNotFoundError):  # journals and drafts come and go
        return bool(path.lstat().st_mode & 0o077)
    return False


def assert_commands_can_be_pasted(run: Run) -> None:
    commands = [shlex.split(line) for line in run.lines if line.startswith("  curl ")]
    assert [command[2] for command in commands] == [
        f"{run.url}/chat/completions",
        f"{run.url}/v1/chat/completions",
    ]
    for command in commands:
        headers = dict(command[at + 1].split(": ") for at, word in enumerate(command) if word == "-H")
        body = command[command.index("-d") + 1]
        with run.client("") as client:
            answer = client.post(command[2], content=body.encode(), headers=headers)
        assert answer.status_code == 200
        assert text_of(events(answer)).startswith("You said: ")
        assert msgspec.json.decode(body)["model"] == "scripted"


# --- later starts, on the database of the tests: it is migrated, and Alice has a key -----------------


def begin_an_endless_answer(run: Run, who: Person, model: str = "scripted") -> socket.socket:
    body = chat_body("[[chunks: 3]] [[stall]]", model=model, stream=True)
    client = run.send("/v1/chat/completions", who.key, msgspec.json.encode(body))
    seen = b""
    while b"w3" not in seen:
        data = client.recv(65536)
        assert data, seen
        seen += data
    return client


def test_a_stop_waits_only_so_long_and_clients_that_still_wait_get_an_error(
    transactional_db: None, alice: Person, tmp_path: Path
) -> None:
    environment = {"DATABASE_URL": database_url(), "CHATAPI_SHUTDOWN_SECONDS": "1"}
    with running(tmp_path, **environment) as run, begin_an_endless_answer(run, alice) as streaming:
        with ThreadPoolExecutor() as threads, run.client(alice.key) as client:
            whole = threads.submit(client.post, "/v1/chat/completions", json=chat_body("[[stall]]"))
            wait_until(lambda: len(client.get("/v1/conversations").json()["data"]) == 2)
            began = time.monotonic()
            assert run.stop() == 0
            assert time.monotonic() - began < 8
            assert "Traceback" not in run.error_output
            assert whole.result().status_code == 503
            assert whole.result().json()["error"]["code"] == "interrupted"
        rest = b"".join(iter(lambda: streaming.recv(65536), b""))
    assert b'"code":"interrupted"' in rest
    assert b"[DONE]" not in rest
    assert list(Completion.objects.values_list("state", flat=True)) == ["interrupted"] * 2
    answers = Message.objects.filter(role="assistant")
    assert any("w1 w2 w3" in str(answer.parts) for answer in answers)


def test_what_is_said_is_indexed_a_moment_later(
    transactional_db: None, alice: Person, tmp_path: Path
) -> None:
    with running(tmp_path, DATABASE_URL=database_url()) as run, run.client(alice.key) as client:
        assert client.post("/v1/chat/completions", json=chat_body("Where is Narvik?")).status_code == 200
        wait_until(lambda: SearchDocument.objects.count() == 2 and not SearchMark.objects.exists())
        assert len(client.get("/v1/search?q=narvik").json()["data"]) == 2
        assert run.stop() == 0


def test_a_second_ctrl_c_does_not_wait(transactional_db: None, alice: Person, tmp_path: Path) -> None:
    environment = {"DATABASE_URL": database_url(), "CHATAPI_SHUTDOWN_SECONDS": "60"}
    with running(tmp_path, **environment) as run, begin_an_endless_answer(run, alice):
        run.process.send_signal(signal.SIGINT)
        wait_until(lambda: not is_open(run.url))  # it is stopping
        assert run.stop(signal.SIGINT, within=5) == 130
        assert run.error_output == "chatapi: stopped at once: answers under way were cut off\n"


def test_answers_of_a_killed_server_are_interrupted_and_billed_at_the_next_start(
    transactional_db: None, alice: Person, tmp_path: Path
) -> None:
    add_credit(alice, 10**9)
    environment = {"DATABASE_URL": database_url()}
    with running(tmp_path, **environment) as run, begin_an_endless_answer(run, alice, "priced"):
        with run.client(alice.key) as client:
            [conversation] = client.get("/v1/conversations").json()["data"]
            made, question = client.get(f"/v1/conversations/{conversation['id']}/items").json()["data"]
        assert run.stop(signal.SIGKILL) == -signal.SIGKILL
    with running(tmp_path, **environment) as again, again.client(alice.key) as client:
        left = client.get(f"/v1/conversations/{conversation['id']}/items").json()["data"]
    assert (made["state"], left) == ("in_progress", [question])
    assert Completion.objects.get().state == "interrupted"
    assert (Charge.objects.get().cost or 0) >= 3 * COMPLETION  # what was seen of it
    assert_ledger_adds_up()


# --- what prevents a start --------------------------------------------------------------------------


def long(*parameters: object) -> Any:
    return pytest.param(*parameters, marks=pytest.mark.long)


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"PORT": "http"}, "chatapi: PORT='http' is not a port"),
        long({"PORT": "70000"}, "chatapi: PORT='70000' is not a port"),
        long({"HOST": "no.such.host.invalid"}, "chatapi: HOST='no.such.host.invalid' is not an address"),
        ({"CHATAPI_DATA_DIR": "/dev/null/data"}, "chatapi: cannot write to /dev/null/data"),
        long({"CHATAPI_MODELS_FILE": "/dev/null"}, "chatapi: models file /dev/null: "),
        long({"CHATAPI_MODELS_FILE": "/no/such/file"}, "chatapi: models file /no/such/file: "),
        long({"STRIPE_API_KEY": "secret-words\nand more"}, "chatapi: STRIPE_API_KEY has a line break"),
        long({"CHATAPI_SECRET_KEY": "secret-words\x07"}, "chatapi: CHATAPI_SECRET_KEY has a line break"),
        ({"DATABASE_URL": "secret-words"}, "chatapi: DATABASE_URL is not a database's URL"),
        ({"DATABASE_URL": "postgres://a:pass-word@127.0.0.1:1/x"}, "chatapi: the database (DATABASE_URL)"),
        long({"DATABASE_URL": "sqlite:////no/such/folder/x"}, "chatapi: the database (DATABASE_URL)"),
        long({"CHATAPI_LOG_LEVEL": "loud"}, "chatapi: CHATAPI_LOG_LEVEL='loud' is none of info, debug"),
        long(
            {"CHATAPI_MAX_BODY_BYTES": "many"}, "chatapi: CHATAPI_MAX_BODY_BYTES='many' is not a whole number"
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_prevents_a_start_is_reported_in_one_line(
    tmp_path: Path, environment: dict[str, str], line: str
) -> None:
    with running(tmp_path, **environment) as run:
        assert run.wait() == 1
        assert run.output == ""
        assert run.error_output.startswith(line)
        assert run.error_output.count("\n") == 1
        assert "pass-word" not in run.error_output
        assert "secret-words" not in run.error_output


def test_a_taken_port_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with running(tmp_path, PORT=str(port)) as run:
            assert run.wait() == 1
            assert run.error_output.startswith(f"chatapi: port {port} of 127.0.0.1 is taken; choose another")
            assert run.error_output.count("\n") == 1
