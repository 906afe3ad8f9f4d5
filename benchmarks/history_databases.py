"""Databases with a history and without, on SQLite and PostgreSQL, which later runs may use again."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import psycopg

from benchmarks.processes import ROOT, BenchmarkError, Process, say
from benchmarks.target_servers import EXTERNAL_SERVICES, HOST, free_port, is_ready
from deploy.with_services import SERVICES, answers

MODEL = "demo-scripted"
_MODELS = f"""
[[models]]
id = "{MODEL}"
engine = "scripted"
max_output_tokens = 4096
price = {{ prompt = 0.15, completion = 0.60 }}
"""


class Seeded(NamedTuple):
    """A database that is there. `facts` are what `seed_demo --json` said."""

    name: str
    env: Mapping[str, str]
    facts: Mapping[str, Any]
    seconds: float | None
    """What the seeding took; None if an earlier run did it."""


def postgresql_url() -> str | None:
    """Return the server that the tests use, too, if it answers."""
    variable, usual = SERVICES["PostgreSQL"]
    url = os.environ.get(variable, usual)
    return url if answers(url) else None


def seed(folder: Path, kind: str, messages: int) -> Seeded:
    """Return a database of a `kind`, "SQLite" or "PostgreSQL", seeded now or by an earlier run."""
    name = f"{kind.lower()}-{messages}-{_schema()}"
    own = folder / name
    env = _env(own, None if kind == "SQLite" else _own_database(name))
    facts = own / "seeded.json"
    if facts.exists() and (kind == "SQLite" or _has_database(name)):
        say(f"using {own} again")
        return Seeded(kind, env, json.loads(facts.read_text()), None)
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(mode=0o700, parents=True)
    (own / "models.toml").write_text(_MODELS)
    if kind == "PostgreSQL":
        _create_database(name)
    say(f"{kind}: seeding {messages:,} messages")
    _manage(env, "migrate", "-v0")
    began = time.monotonic()
    said = _manage(env, "seed_demo", "--messages", str(messages), "--json")
    seconds = time.monotonic() - began
    facts.write_text(said)
    facts.chmod(0o600)
    return Seeded(kind, env, json.loads(said), seconds)


def drop(folder: Path) -> None:
    """Drop the databases on PostgreSQL that belong to a folder."""
    for own in folder.glob("postgresql-*"):
        with _server() as server:
            server.execute(f'DROP DATABASE IF EXISTS "chatapi-bench-{own.name}"'.encode())


@contextmanager
def running(seeded: Seeded, folder: Path) -> Iterator[int]:
    """Run the service on a database; yield its port."""
    port = free_port()
    env = {**seeded.env, "PORT": str(port)}
    name = f"{seeded.name}-{seeded.facts['rows'].get('messages', 0)}"
    process = Process(name, [sys.executable, "manage.py", "run"], folder, env)
    try:
        process.wait_for(lambda: is_ready(port))
        yield port
    finally:
        process.stop()


def _env(own: Path, database_url: str | None) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in EXTERNAL_SERVICES}
    database = {} if database_url is None else {"DATABASE_URL": database_url}
    return {
        **inherited,
        **database,
        "HOST": HOST,
        "CHATAPI_DATA_DIR": str(own),
        "CHATAPI_MODELS_FILE": str(own / "models.toml"),
        "CHATAPI_CREDIT_LIMIT_USD": "1000000",
    }


def _manage(env: Mapping[str, str], *arguments: str) -> str:
    """Run a command of `manage.py`, whose progress passes, and return what it printed."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=dict(env), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"manage.py {arguments[0]} failed:\n{done.stdout[-3000:]}")
    return done.stdout


def _schema() -> str:
    """Return a name for the database's schema: with another one, what was seeded is of no use."""
    digest = sha256()
    for path in sorted(ROOT.glob("*/migrations/*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


# --- PostgreSQL -----------------------------------------------------------------------------------


def _server() -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(postgresql_url() or "", autocommit=True)


def _own_database(name: str) -> str:
    url = urlsplit(postgresql_url() or "")
    return urlunsplit(url._replace(path=f"/chatapi-bench-{name}"))


def _has_database(name: str) -> bool:
    with _server() as server:
        found = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [f"chatapi-bench-{name}"])
        return found.fetchone() is not None


def _create_database(name: str) -> None:
    with _server() as server:
        server.execute(f'DROP DATABASE IF EXISTS "chatapi-bench-{name}"'.encode())
        server.execute(f'CREATE DATABASE "chatapi-bench-{name}"'.encode())
