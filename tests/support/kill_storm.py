"""Kill web servers and workers again and again while clients call them, then verify the ledger.

make chaos                                                             SQLite, all in one process
make chaos ARGS="--webs 2 --workers 1 --database postgres://… --broker redis://…"      as at scale
"""

import argparse
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx2
import msgspec
import psycopg

from accounts.secret_digests import TOKEN_PREFIX
from chatapi.env import ROOT
from core.money import format_usd
from tests.support.run_command import Run, clean_environment, manage

CLIENTS = 8
QUIET_SECONDS = 90.0
"""The time within which the sweep must have settled and posted everything."""
TOKEN, TOKEN_LIMIT = f"{TOKEN_PREFIX}storm", 20_000_000
"""What every other client has: an end-user token, which may spend so much, in nano-USD."""
CREATE_TOKEN = f"""
from datetime import timedelta
from django.utils import timezone
from accounts.models import ApiKey, EndUserToken
from accounts.secret_digests import digest_of
key = ApiKey.objects.get()
EndUserToken.objects.create(
    workspace=key.workspace, key=key, end_user="eve", digest=digest_of("{TOKEN}"),
    spending_limit={TOKEN_LIMIT}, expires_at=timezone.now() + timedelta(days=1),
)
"""


@dataclass
class Storm:
    """A storm of `kills` in all. `answered` are the completions of which a client saw any text."""

    data: Path
    kills: int
    webs: int = 1
    workers: int = 0
    database: str = ""
    broker: str = ""
    seed: int = 1
    pause: float = 0.3
    answered: set[str] = field(default_factory=set)
    asked: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._stop = threading.Event()
        self._urls: list[str] = []
        self._key = ""
        self._lock = threading.Lock()

    @property
    def environment(self) -> dict[str, str]:
        variables = {"CHATAPI_CREDIT_LIMIT_USD": "none"}
        if self.database:
            variables["DATABASE_URL"] = self.database
        if self.broker:
            variables |= {"CELERY_BROKER_URL": self.broker, "CHATAPI_EMBEDDED_WORKER": "0"}
        return variables

    def run(self) -> None:
        """Call the service and kill its processes until all kills are done, then kill everything."""
        with ExitStack() as stack:
            webs = [stack.enter_context(EndedRun(self._web())) for _ in range(1)]
            self._key = webs[0].api_key
            made = manage(self.data, "shell", "-c", CREATE_TOKEN, **self.environment)
            assert made.returncode == 0, made.stderr
            webs += [stack.enter_context(EndedRun(self._web())) for _ in range(self.webs - 1)]
            workers = [self._worker() for _ in range(self.workers)]
            beat = self._celery("beat", "--schedule", str(self.data / "beat")) if self.broker else None
            self._urls = [web.url for web in webs]
            clients = [threading.Thread(target=self._ask_repeatedly, args=(n,)) for n in range(CLIENTS)]
            for client in clients:
                client.start()
            try:
                for _ in range(self.kills):
                    self._wait_for_answer()
                    time.sleep(self._random.uniform(0, 2 * self.pause))
                    self._kill_one(stack, webs, workers)
            finally:
                self._stop.set()
                for web in webs:
                    web.process.kill()
                for client in clients:
                    client.join()
                for process in (*workers, *filter(None, [beat])):
                    process.kill()
                    process.wait()

    def settle(self) -> str:
        """Restart, wait until all is settled and posted, and verify the ledger. Return what that printed."""
        with EndedRun(self._web()) as web:
            assert web.url
            if self.broker:
                worker = self._worker()
                beat = self._celery("beat", "--schedule", str(self.data / "beat"))
            deadline = time.monotonic() + QUIET_SECONDS
            try:
                while self._unfinished():
                    assert time.monotonic() < deadline, f"unfinished: {self._unfinished()}"
                    time.sleep(0.5)
            finally:
                if self.broker:
                    for process in (worker, beat):
                        process.kill()
                        process.wait()
            proof = manage(self.data, "verify_ledger", **self.environment)
            assert proof.returncode == 0, proof.stdout + proof.stderr
            assert self.spent_with_token() <= TOKEN_LIMIT
            return proof.stdout.strip()

    def unbilled(self) -> set[str]:
        """The answered completions that were not billed."""
        billed = self._rows("SELECT id FROM billing_charge WHERE state <> 'held' AND cost > 0")
        return self.answered - {f"chatcmpl-{UUID(str(id)).hex}" for (id,) in billed}

    def spent_with_token(self) -> int:
        [(spent,)] = self._rows(
            "SELECT SUM(amount) FROM billing_spend WHERE scope_id = (SELECT id FROM accounts_endusertoken)"
        )
        return int(spent or 0)

    # --- processes --------------------------------------------------------------------------------

    def _web(self) -> Run:
        return Run(self.data, **self.environment)

    def _worker(self) -> "subprocess.Popen[bytes]":
        return self._celery("worker", "--pool", "threads", "--concurrency", "2", "--without-mingle")

    def _celery(self, *arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "chatapi", *arguments],
            cwd=ROOT,
            env=clean_environment(self.data, **self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _kill_one(self, stack: ExitStack, webs: list[Run], workers: "list[subprocess.Popen[bytes]]") -> None:
        number = self._random.randrange(len(webs) + len(workers))
        if number < len(webs):
            webs[number].process.send_signal(signal.SIGKILL)
            webs[number].wait()
            webs[number] = stack.enter_context(EndedRun(self._web()))
            self._urls[number] = webs[number].url
        else:
            workers[number - len(webs)].kill()
            workers[number - len(webs)].wait()
            workers[number - len(webs)] = self._worker()

    def _wait_for_answer(self) -> None:
        known, deadline = len(self.answered), time.monotonic() + QUIET_SECONDS
        while len(self.answered) == known:
            assert time.monotonic() < deadline, "nobody is answered"
            time.sleep(0.02)

    def _unfinished(self) -> int:
        [(count,)] = self._rows("SELECT COUNT(*) FROM billing_charge WHERE state <> 'posted'")
        return int(count)

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        if self.database:
            with psycopg.connect(self.database) as connection:
                return connection.execute(cast("Any", sql)).fetchall()
        with closing(sqlite3.connect(self.data / "chatapi.sqlite3")) as connection:
            return connection.execute(sql).fetchall()

    # --- clients ----------------------------------------------------------------------------------

    def _ask_repeatedly(self, number: int) -> None:
        rng = random.Random(self.seed * 1000 + number)
        headers = {"Authorization": f"Bearer {TOKEN if number % 2 else self._key}"}
        with httpx2.Client(headers=headers, timeout=20) as client:
            while not self._stop.is_set():
                try:
                    self._ask(rng, client, self._urls[number % len(self._urls)])
                except (httpx2.HTTPError, OSError):
                    self._stop.wait(0.3)  # leave the machine to the process that restarts

    def _ask(self, rng: random.Random, client: httpx2.Client, url: str) -> None:
        text = f"[[slow: {rng.choice(('0', '0.005', '0.03'))}]] [[chunks: {rng.randrange(1, 40)}]]"
        body = {
            "model": rng.choice(("priced", "priced-voice")),
            "stream": True,
            "messages": [{"role": "user", "content": text}],
        }
        leaves_after = rng.choice((3, 1000, 1000))
        with client.stream("POST", f"{url}/v1/chat/completions", json=body) as response:
            self.asked += 1
            if response.status_code == httpx2.codes.TOO_MANY_REQUESTS:  # the token's limit is reached
                self._stop.wait(0.3)
            for count, line in enumerate(response.iter_lines()):
                self._note_answer(line)
                if count > leaves_after:
                    return

    def _note_answer(self, line: str) -> None:
        if not line.startswith("data: {"):
            return
        chunk = msgspec.json.decode(line.removeprefix("data: "))
        if any(choice["delta"].get("content") for choice in chunk.get("choices", ())):
            with self._lock:
                self.answered.add(chunk["id"])


class EndedRun:
    """A context manager that ends a run when its block ends."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __enter__(self) -> Run:
        return self._run

    def __exit__(self, *_: object) -> None:
        self._run.end()


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name, default in (("kills", 200), ("webs", 1), ("workers", 0), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--database", default="")
    parser.add_argument("--broker", default="")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        storm = Storm(Path(folder), **vars(asked))
        started = time.monotonic()
        storm.run()
        raged = time.monotonic() - started
        proof = storm.settle()
        unbilled = storm.unbilled()
        sys.stdout.write(
            f"{storm.kills} kills in {raged:.0f} s; {storm.asked} calls, of {len(storm.answered)} a word was "
            f"seen, {len(unbilled)} of them not billed; {format_usd(storm.spent_with_token())} USD of "
            f"{format_usd(TOKEN_LIMIT)} USD were spent with a token\n{proof}\n"
        )
        if unbilled:
            sys.exit(1)
