"""Who is let in by each route of the API that Django serves, and about which objects: see `rows.py`."""

import pytest

from tests.access.actors import (
    ACTORS,
    ANONYMOUS,
    ENDED_SESSION,
    INTRUDER,
    KEY,
    MEMBER,
    REVIEWER,
    REVOKED_KEY,
    STRANGER,
    UNKNOWN,
    Team,
)
from tests.access.objects import filled_in
from tests.access.rows import API, ASGI, PUBLIC, Row
from tests.access.verdicts import (
    ARGUMENT,
    Refusals,
    expected,
    is_strangers_own,
    keys_with_other_scopes,
    targets,
)

MOST_QUERIES = 60
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ASKED_FOR_PUBLIC = (KEY, REVOKED_KEY, MEMBER, ENDED_SESSION, ANONYMOUS)
ASKED_FOR_HEAD = (KEY, REVIEWER, STRANGER, ANONYMOUS)


@pytest.fixture
def team(db: None) -> Team:
    return Team()


@pytest.mark.parametrize("route", API)
def test_who_is_let_in(team: Team, route: str) -> None:
    row, (method, pattern) = API[route], route.split()
    body, refusals = filled_in(row.body, team), Refusals()
    actors = [*ACTORS, *keys_with_other_scopes(team, row)]
    known = [actor for actor in actors if actor not in UNKNOWN]
    for number, target in enumerate(reversed(targets(team, pattern))):
        for actor in actors if number < 2 else known:
            if is_strangers_own(actor, target) or (row.needs == PUBLIC and actor not in ASKED_FOR_PUBLIC):
                continue
            answer = team.ask(actor, method, target.path, body, names_workspace=not target.project)
            statuses, code = expected(row, method, actor, target)
            seen = f"{actor}: {method} {target.path} ({target.project} {target.what})"
            assert answer.status in statuses, f"{seen} → {answer.status} {answer.text[:300]}"
            assert code is None or answer.code == code, f"{seen} → {answer.text[:300]}"
            assert answer.queries <= MOST_QUERIES, seen
            if answer.status in (401, 403, 404):
                refusals.compare(actor, target, answer.words)
            if method == "GET" and actor in ASKED_FOR_HEAD:
                head = team.ask(actor, "HEAD", target.path, names_workspace=not target.project)
                assert (head.status, head.text) == (answer.status, ""), f"{actor}: HEAD {target.path}"


@pytest.mark.parametrize("pattern", sorted({route.split()[1] for route in API}))
def test_what_a_route_does_not_serve_is_not_told_to_strangers(team: Team, pattern: str) -> None:
    path = targets(team, pattern)[-1].path
    for method in METHODS:
        if f"{method} {pattern}" in {**API, **ASGI}:
            continue
        is_public = API.get(f"GET {pattern}", Row("")).needs == PUBLIC
        assert team.ask(ANONYMOUS, method, path).status == (405 if is_public else 401), method
        assert team.ask(KEY, method, path).status == (404 if "project_id" in pattern else 405), method


@pytest.mark.parametrize("pattern", sorted({route.split()[1] for route in API} - {"/docs"}))
def test_which_methods_there_are_is_told_to_anybody(team: Team, pattern: str) -> None:
    path = ARGUMENT.sub("x", pattern)
    served = {route.split()[0] for route in {**API, **ASGI} if route.split()[1] == pattern}
    for actor in (ANONYMOUS, STRANGER, KEY):
        answer = team.ask(actor, "OPTIONS", path)
        assert (answer.status, answer.text) == (200, "")
        assert served <= set(answer.headers["allow"].split(", "))


def test_a_workspace_that_is_named_is_not_told_from_one_that_never_was(team: Team) -> None:
    strange = team.ask(INTRUDER, "GET", "/v1/conversations")
    team.project = f"proj_{0:032x}"
    assert team.ask(INTRUDER, "GET", "/v1/conversations").words == strange.words
