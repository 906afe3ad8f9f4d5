"""How an attack says that it succeeded."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import httpx2


class Broken(Exception):
    """An attack succeeded; the message says what came."""


def check(holds: object, what_came: str) -> None:
    if not holds:
        raise Broken(what_came)


def check_all(problems: Mapping[str, str | None], context: str = "") -> None:
    """Check several forms of one attack: `problems` says what came of each, None where it held."""
    names: dict[str, list[str]] = defaultdict(list)
    for name, problem in problems.items():
        if problem:
            names[problem].append(name)
    found = sum(map(len, names.values()))
    listed = "; ".join(f"{' + '.join(alike)}: {problem}" for problem, alike in names.items())
    check(not found, f"{found} of {len(problems)}{context}: {listed}")


def check_soon(condition: Callable[[], object], seconds: float, what_came: str) -> None:
    """Check that something comes true within so many seconds."""
    check(comes_true(condition, seconds), what_came)


def comes_true(condition: Callable[[], object], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def check_status(answer: httpx2.Response, *expected: int) -> None:
    problem = status_problem(answer, *expected)
    check(problem is None, str(problem))


def status_problem(answer: httpx2.Response, *expected: int) -> str | None:
    """What came instead of one of these statuses; None if one of them did."""
    return None if answer.status_code in expected else describe(answer)


def describe(answer: httpx2.Response) -> str:
    """The status, and what the body says in few words."""
    body = _json_of(answer)
    if "choices" in body and (usage := body.get("usage")):
        return f"answered, {usage['prompt_tokens']} + {usage['completion_tokens']} tokens"
    return f"{answer.status_code}: {' '.join(answer.text[:300].split())}"


def error_of(answer: httpx2.Response) -> tuple[int, str | None, str | None]:
    """The status, and the error's code and param where there is one."""
    error = _json_of(answer).get("error", {})
    return answer.status_code, error.get("code"), error.get("param")


def _json_of(answer: httpx2.Response) -> dict[str, Any]:
    """The JSON object of the body; empty where it is none."""
    is_json = answer.headers.get("content-type", "").startswith("application/json")
    body = answer.json() if is_json else {}
    return body if isinstance(body, dict) else {}
