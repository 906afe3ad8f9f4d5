"""Who is let in by each route of the API that Django serves, and about which objects: see `rows.py`."""

from itertools import product

import pytest
from django.db import transaction

from tests.access.actors import (
    ACTORS,
    ANONYMOUS,
    ENDED_SESSION,
    FORGED,
    INTRUDER,
    KEY,
    MEMBER,
    REVIEWER,
    REVOKED_KEY,
    STRANGER,
    UNKNOWN,
    UNPROVED,
    Team,
)
from tests.access.objects import filled_in
from tests.access.rows import API, ASGI, PUBLIC, Row
from tests.access.verdicts import (
    ARGUMENT,
    Refusals,
    asked_about,
    expected,
    is_strangers_own,
    keys_with_other_scopes,
    targets,
)

MOST_QUERIES = 70
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ASKED_FOR_HEAD = (KEY, REVIEWER, STRANGER, ANONYMOUS)


@pytest.fixture
def team(db: None) -> Team:
    return Team()


def part_of(route: str) -> str:
    """Return the beginning of a route's address, without arguments: routes about one thing share it."""
    words = [word for word in route.split()[1].split("/") if "<" not in word]
    return "/".join(words[: 5 if "organization" in words else 3])


@pytest.mark.parametrize("part", sorted({part_of(route) for route in API}))
def test_who_is_let_in(team: Team, part: str) -> None:
    team.sign_everybody_in()
    for number, route in enumerate(API):
        if part_of(route) == part:
            with transaction.atomic():
                check_who_is_let_in(team, route, number)
                transaction.set_rollback(True)


def check_who_is_let_in(team: Team, route: str, number: int) -> None:
    row, (method, pattern) = API[route], route.split()
    body, refusals = filled_in(row.body, team), Refusals()
    found = targets(team, pattern, row.query)
    for actor in actors_for(team, row, method, number):
        for target in asked_about(row, method, actor, found):
            if is_strangers_own(actor, target):
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


def actors_for(team: Team, row: Row, method: str, number: int) -> list[str]:
    """Return who asks for a route, leaving out those for whom it could make no difference.

    All routes have the same authentication: of its refusals each is tried where its turn is, one in any case.
    """
    if row.needs == PUBLIC:
        return [KEY, REVOKED_KEY, MEMBER, ENDED_SESSION, ANONYMOUS]
    left_out = {actor for turn, actor in enumerate(UNKNOWN) if actor != ANONYMOUS and (turn + number) % 4}
    if method == "GET":
        left_out.add(FORGED)
    if not row.proof:
        left_out.add(UNPROVED)
    return [*(actor for actor in ACTORS if actor not in left_out), *keys_with_other_scopes(team, row)]


PATTERNS = sorted({route.split()[1] for route in API})


def test_what_a_route_does_not_serve_is_told_to_callers_alone(team: Team) -> None:
    for method, pattern in product(METHODS, PATTERNS):
        if f"{method} {pattern}" not in {**API, **ASGI}:
            path, is_public = ARGUMENT.sub("x", pattern), API.get(f"GET {pattern}", Row("")).needs == PUBLIC
            by_key = 404 if "project_id" in pattern else 405
            assert team.ask(ANONYMOUS, method, path).status == (405 if is_public else 401), (method, path)
            assert team.ask(KEY, method, path).status == by_key, (method, path)


def test_which_methods_there_are_is_told_to_anybody(team: Team) -> None:
    for pattern, actor in product(PATTERNS, (ANONYMOUS, STRANGER, KEY)):
        served = {route.split()[0] for route in {**API, **ASGI} if route.split()[1] == pattern}
        answer = team.ask(actor, "OPTIONS", ARGUMENT.sub("x", pattern))
        assert answer.status == 200
        assert not answer.text
        assert served <= set(answer.headers["allow"].split(", ")), pattern


def test_a_workspace_that_is_named_is_not_told_from_one_that_never_was(team: Team) -> None:
    strange = team.ask(INTRUDER, "GET", "/v1/conversations")
    team.project = f"proj_{0:032x}"
    assert team.ask(INTRUDER, "GET", "/v1/conversations").words == strange.words
