"""Lists, items, search, pages of the admin site and admissions: on an empty database and on a full one."""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.history_client import Answer, Client
from benchmarks.history_databases import MODEL, Seeded, drop, postgresql_url, running, seed
from benchmarks.history_requests import Who, clients_of, requests_of
from benchmarks.history_table import LIMITS, Line, Timings, misses, render
from benchmarks.processes import BenchmarkError, say

WARM_UP = 3
MOST_SECONDS = 12.0
"""How long one request is repeated at most."""
CALLS = 300
_CALL = {"model": MODEL, "messages": [{"role": "user", "content": "Hello there"}]}


class Plan(NamedTuple):
    """How many messages and repetitions; the databases stay in `kept`, if it is named."""

    messages: int
    repetitions: int
    kept: Path | None
    is_strict: bool


class _Subject(NamedTuple):
    """A database with the service running on it."""

    column: str
    facts: Mapping[str, Any]
    clients: Mapping[Who, Client]


def measure_history(folder: Path, plan: Plan) -> str:
    """Measure all databases that are to be had; return the table. Exits with 1 if `plan` is strict."""
    databases = plan.kept or folder
    has_postgresql = postgresql_url() is not None
    if not has_postgresql:
        say("PostgreSQL does not answer (CHATAPI_TEST_DATABASE_URL): only SQLite is measured")
    lines: dict[str, Line] = {}
    columns: list[str] = []
    notes: list[str] = []
    try:
        for kind in ("SQLite", "PostgreSQL")[: 1 + has_postgresql]:
            empty, full = seed(databases, kind, 0), seed(databases, kind, plan.messages)
            if full.seconds is not None:
                notes.append(f"{kind}: seeded in {full.seconds:.0f} s")
            columns += [f"{kind}, empty", f"{kind}, full"]
            _measure(folder, {columns[-2]: empty, columns[-1]: full}, plan, lines)
    finally:
        if plan.kept is None and has_postgresql:
            drop(databases)
    return _report(plan, columns, list(lines.values()), notes)


def _report(plan: Plan, columns: list[str], lines: list[Line], notes: list[str]) -> str:
    missed = misses(columns, lines)
    table = render(columns, lines)
    aims = ", ".join(f"{group} {limit:.0f} ms" for group, limit in LIMITS.items())
    title = f"history of {plan.messages:,} messages; aims at p95: {aims}; admission within 5 %\n"
    text = "\n".join([title, table, "", *notes, *(f"missed: {one}" for one in missed)])
    if missed and plan.is_strict:
        print(text, flush=True)
        sys.exit(1)
    return text


def _measure(folder: Path, databases: Mapping[str, Seeded], plan: Plan, lines: dict[str, Line]) -> None:
    with ExitStack() as stack:
        subjects = []
        for column, seeded in databases.items():
            own = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
            port = stack.enter_context(running(seeded, own))
            clients = clients_of(port, seeded.facts)
            subjects.append(_Subject(column, seeded.facts, clients))
        say("admission")
        _measure_admission(subjects, plan, lines)
        for subject in subjects:
            say(f"requests: {subject.column}")
            _measure_requests(subject, plan, lines)


def _measure_admission(subjects: list[_Subject], plan: Plan, lines: dict[str, Line]) -> None:
    """Measure calls in turn on the empty and the full database, whose difference is what counts."""
    for _ in range(WARM_UP * 5):
        for subject in subjects:
            _call(subject, _CALL)
    timings = {subject.column: Timings() for subject in subjects}
    for _ in range(max(plan.repetitions, CALLS if plan.repetitions >= 60 else 60)):
        for subject in subjects:
            _note(timings[subject.column], _call(subject, _CALL))
    _add(lines, "admission", "a call: a new conversation", timings)
    continued: dict[str, Timings] = {}
    for subject in subjects:
        longest = subject.facts["longest_conversation"]
        if longest is not None:
            body = {**_CALL, "context": {"conversation_id": longest}}
            continued[subject.column] = timed = Timings()
            for _ in range(plan.repetitions):
                _note(timed, _call(subject, body))
    _add(lines, "admission", "a call: the longest conversation, continued", continued)


def _call(subject: _Subject, body: Mapping[str, Any]) -> Answer:
    return subject.clients["key"].send("POST", "/v1/chat/completions", json.dumps(body).encode())


def _measure_requests(subject: _Subject, plan: Plan, lines: dict[str, Line]) -> None:
    for measured in requests_of(subject.clients, subject.facts):
        timings = Timings()
        if measured.path is not None:
            client = subject.clients[measured.who]
            latest = time.monotonic() + MOST_SECONDS
            for number in range(WARM_UP + plan.repetitions):
                answer = client.get(measured.path)
                if number >= WARM_UP or answer.status != 200 or time.monotonic() > latest:
                    _note(timings, answer)
                if answer.status != 200 or time.monotonic() > latest:
                    break
        _add(lines, measured.group, measured.name, {subject.column: timings})


def _note(timings: Timings, answer: Answer) -> None:
    if answer.status == 200:
        timings.milliseconds.append(answer.milliseconds)
    else:
        timings.statuses.append(answer.status)


def _add(lines: dict[str, Line], group: str, name: str, timings: Mapping[str, Timings]) -> None:
    if not timings:
        return
    line = lines.setdefault(name, Line(group, name, {}))
    line.timings = {**line.timings, **timings}


def check_messages(messages: int) -> None:
    """Raise `BenchmarkError` for a history that has nothing to ask for."""
    if messages < 1000:
        raise BenchmarkError("a history to be measured has at least 1000 messages")
