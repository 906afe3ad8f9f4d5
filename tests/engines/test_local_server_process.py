"""The supervisor, with small scripts in place of the model's process."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engines.base import Unavailable
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
STUBBORN = (
    "from core.child_process import ignore_stop_signals\nignore_stop_signals()\n" + READY + "signal.pause()\n"
)
CURIOUS = SAY + (
    "import os\n"
    "environment = json.dumps(dict(os.environ))\n"
    "print(json.dumps({'state': 'loading', 'message': environment, 'fraction': 0}), flush=True)\n"
    + READY.removeprefix(SAY)
)
DEAF = "import os\nos.close(0)\nraise SystemExit(4)"
DYING = "raise SystemExit(3)"

Begin = Callable[..., ModelProcess]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    begun: list[ModelProcess] = []

    def make(
        script: str,
        progress: Callable[[str, float], None] | None = None,
        *,
        model_path: str | None = None,
        **options: float,
    ) -> ModelProcess:
        settings = ServerSettings(str(tmp_path), str(tmp_path / "log"), "", 1, 64, model_path)
        begun.append(ModelProcess(settings, progress, (sys.executable, "-c", script), **options))
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


def held_back_until(gate: Path) -> str:
    """Return a script that says nothing until the file `gate` is there."""
    wait = f"import os, time\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.01)\n"
    return SAY + wait + READY.removeprefix(SAY)


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


def test_a_crash_is_followed_by_a_restart_with_another_key(begin: Begin, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    process = begin(held_back_until(gate))
    first = process.start().result(timeout=20)
    assert process.pid is not None
    gate.unlink()
    os.kill(process.pid, signal.SIGKILL)

    wait_until(lambda: process.unready_reason is not None)
    assert "its process ended (signal SIGKILL)" in str(process.unready_reason)
    restarted = process.start()
    gate.touch()
    second = restarted.result(timeout=20)

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


def test_a_refusal_is_tried_again_on_demand_after_a_while(begin: Begin) -> None:
    process = begin(REFUSING, retry_refused_after=0)
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


def test_a_process_that_ignores_all_signals_ends_when_it_is_closed(begin: Begin) -> None:
    process = begin(STUBBORN)
    process.start().result(timeout=20)
    pid = process.pid
    process.close()
    assert not Path(f"/proc/{pid}").exists()


def test_a_process_that_ends_before_it_has_read_its_settings_is_restarted(begin: Begin) -> None:
    """They are a little longer than the pipe, so that their end is still to be written."""
    process = begin(DEAF, model_path="x" * 2**16)
    with pytest.raises(Unavailable, match=r"ends while it loads \(exit status 4\)"):
        process.start().result(timeout=20)


def test_its_environment_holds_no_secret(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "OPENAI_API_KEY", "HF_TOKEN", "LLAMA_API_KEY"):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    told: list[str] = []
    begin(CURIOUS, lambda message, fraction: told.append(message)).start().result(timeout=20)

    environment = json.loads(told[0])
    assert "hunter2" not in environment.values()
    assert environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert environment["OMP_WAIT_POLICY"] == "passive"


def test_closing_lets_go_of_those_who_wait(begin: Begin) -> None:
    process = begin(SAY + "sys.stdin.read()")
    waiting = process.start()
    process.close()
    with pytest.raises(Unavailable, match="The local model was stopped"):
        waiting.result(timeout=20)
