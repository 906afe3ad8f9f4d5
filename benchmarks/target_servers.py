"""Targets that a load can be sent to. To measure another server, add a function that starts it."""

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.fake_upstream import SLOW_MODEL
from benchmarks.processes import ROOT, BenchmarkError, Process

HOST = "127.0.0.1"
MODEL = "bench"
_CHAT = "/v1/chat/completions"
EXTERNAL_SERVICES = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL")


class Target(NamedTuple):
    name: str
    process: Process
    port: int
    headers: tuple[str, ...] = ()
    path: str = _CHAT


Starter = Callable[[int, Path], Target]
"""A function that starts a target that uses the upstream on this port and keeps its files in the folder."""


def start_upstream(folder: Path) -> Target:
    process = Process("upstream", [sys.executable, "-m", "benchmarks.fake_upstream"], folder)
    return Target("upstream", process, process.printed_port())


def start_relay(upstream_port: int, folder: Path) -> Target:
    process = Process("relay", [sys.executable, "-m", "benchmarks.bare_relay", str(upstream_port)], folder)
    return Target("relay", process, process.printed_port())


def start_service(upstream_port: int, folder: Path, more_env: Mapping[str, str] | None = None) -> Target:
    """The service as `make run` starts it: one worker, SQLite, everything stored."""
    port = free_port()
    env = _service_env(upstream_port, port, folder) | dict(more_env or {})
    process = Process("service", [sys.executable, "manage.py", "run"], folder, env)
    process.wait_for(lambda: is_ready(port))
    key = _create_key(env)
    return Target("service", process, port, (f"Authorization: Bearer {key}",))


STARTERS: dict[str, Starter] = {"relay": start_relay, "service": start_service}


def _service_env(upstream_port: int, port: int, folder: Path) -> dict[str, str]:
    models_file = folder / "models.toml"
    models_file.write_text(
        "\n".join(
            f'[[models]]\nid = "{model_id}"\nengine = "openai_compatible"\n'
            f'base_url = "http://{HOST}:{upstream_port}/v1"\n'
            "max_output_tokens = 4096\n"
            "price = { prompt = 0.15, completion = 0.60 }\n"
            for model_id in (MODEL, SLOW_MODEL)
        )
    )
    data = folder / "service-data"
    data.mkdir()
    own = {name: value for name, value in os.environ.items() if name not in EXTERNAL_SERVICES}
    return own | {
        "HOST": HOST,
        "PORT": str(port),
        "CHATAPI_DATA_DIR": str(data),
        "CHATAPI_MODELS_FILE": str(models_file),
        "CHATAPI_CREDIT_LIMIT_USD": "1000000",
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_ready(port: int) -> bool | None:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/healthz", timeout=5) as answer:
            return bool(answer.status == 200) or None
    except (urllib.error.URLError, OSError):
        return None


def _create_key(env: dict[str, str]) -> str:
    made = subprocess.run(
        [sys.executable, "manage.py", "create_api_key", "bench@example.com"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise BenchmarkError(f"no API key was made:\n{made.stderr[-3000:]}")
    return made.stdout.strip()
