"""The supervisor, with small scripts in place of the model's process."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engines.base import Unavailable
from engines.local import server_process as module
from engines.local.server_process import ModelProcess
from engines.local.server_protocol import ServerSettings

SAY = "import sys, json\nsettings = json.loads(sys.stdin.readline())\n"
READY = SAY + (
    "print(json.dumps({'state': 'loading', 'message': 'joining the model', 'fraction': 0.5}), flush=True)\n"
    "print('not a report', flush=True)\n"
    "print(json.dumps({'state': 'ready', 'port': 4711}), flush=True)\n"
    "sys.stdin.read()\n"
)
REFUSING = SAY + "print(json.dumps({'state': 'failed', 'message': 'the disk is full'}), flush=True)\n"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY + "signal.pause()\n"
DYING = "raise SystemExit(3)"

Begin = Callable[..., ModelProcess]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    begun: list[ModelProcess] = []

    def make(script: str, progress: Callable[[str, float], None] | None = None) -> ModelProcess:
        settings = ServerSettings(str(tmp_path), str(tmp_path / "log"), "", slots=1, context_length=64)
        begun.append(ModelProcess(settings, progress, (sys.executable, "-c", script)))
        return begun[-1]

    yield make
    for process in begun:
        process.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def reason(process: ModelProcess) -> str | None:
    return process.unready_reason


def test_it_starts_once_tells_its_progress_and_listens(begin: Begin) -> None:
    reports: list[tuple[str, float]] = []
    process = begin(READY, lambda message, fraction: reports.append((message, fraction)))
    assert reason(process) == "the local model is not started yet"

    endpoint = process.start().result(timeout=20)

    assert endpoint.base_url == "http://127.0.0.1:4711/v1"
    assert len(endpoint.api_key) == 32
    assert reports == [("joining the model", 0.5)]
    assert reason(process) is None
    assert process.start().result(timeout=20) == endpoint


def test_its_key_is_in_no_list_of_processes(begin: Begin) -> None:
    process = begin(READY)
    endpoint = process.start().result(timeout=20)
    for name in ("cmdline", "environ"):
        assert endpoint.api_key.encode() not in Path(f"/proc/{process.pid}/{name}").read_bytes()


def test_a_crash_is_followed_by_a_restart_with_another_key(begin: Begin) -> None:
    process = begin(READY)
    first = process.start().result(timeout=20)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)

    wait_until(lambda: process.unready_reason is not None)
    assert "its process ended (signal SIGKILL)" in str(process.unready_reason)
    second = process.start().result(timeout=20)

    assert second.api_key != first.api_key
    assert process.unready_reason is None


def test_a_refusal_is_told_and_not_repeated_at_once(begin: Begin) -> None:
    process = begin(REFUSING)
    with pytest.raises(Unavailable, match="The local model cannot be used: the disk is full"):
        process.start().result(timeout=20)
    pid = process.pid

    with pytest.raises(Unavailable):
        process.start().result(timeout=20)
    assert process.pid == pid
    assert process.unready_reason == "the local model cannot be used: the disk is full"


def test_a_refusal_is_tried_again_on_demand_after_a_while(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_REFUSED_AFTER", 0)
    process = begin(REFUSING)
    with pytest.raises(Unavailable):
        process.start().result(timeout=20)
    pid = process.pid
    wait_until(lambda: process.start() is not None and process.pid != pid)


def test_requests_do_not_wait_for_a_process_that_dies_again_and_again(begin: Begin) -> None:
    process = begin(DYING)
    with pytest.raises(Unavailable, match=r"ends while it loads \(exit status 3\)"):
        process.start().result(timeout=20)


def test_closing_ends_the_process_and_later_a_new_one_may_start(begin: Begin) -> None:
    process = begin(READY)
    process.start().result(timeout=20)
    pid = process.pid
    process.close()
    assert not Path(f"/proc/{pid}").exists()
    assert process.unready_reason == "the local model is stopped"

    process.start().result(timeout=20)
    assert process.pid != pid


def test_a_process_that_ignores_the_request_to_end_is_killed(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TERMINATION_TIMEOUT", 0.2)
    process = begin(STUBBORN)
    process.start().result(timeout=20)
    pid = process.pid
    process.close()
    assert not Path(f"/proc/{pid}").exists()


def test_closing_lets_go_of_those_who_wait(begin: Begin) -> None:
    process = begin(SAY + "sys.stdin.read()")
    waiting = process.start()
    process.close()
    with pytest.raises(Unavailable, match="The local model was stopped"):
        waiting.result(timeout=20)
