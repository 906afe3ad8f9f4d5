"""Who is let in by each route of the API that Django serves, and about which objects: see `rows.py`."""

import re
from typing import NamedTuple

import pytest

from tests.access.actors import (
    ACTORS,
    ANONYMOUS,
    ENDED_SESSION,
    FORGED,
    GIVEN_BY,
    INTRUDER,
    KEY,
    MEMBER,
    MEMBERS_KEY,
    OUTSIDE,
    REVIEWER,
    REVOKED_KEY,
    SCOPES,
    STRANGER,
    STRANGERS,
    UNKNOWN,
    UNPROVED,
    Response,
    Team,
    is_key,
    permissions_of,
)
from tests.access.objects import A_STRANGERS, filled_in, ids_of
from tests.access.rows import ANY_CALLER, API, ASGI, AUDIENCES, IN_THE_TEAM, PUBLIC, Row

MOST_QUERIES = 60
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SESSION_ONLY = {"account", "ownership"}
ARGUMENT = re.compile(r"<\w+:(\w+)>")
NOT_FOUND = "not_found"
ASKED_FOR_PUBLIC = (KEY, REVOKED_KEY, MEMBER, ENDED_SESSION, ANONYMOUS)
ASKED_FOR_HEAD = (KEY, REVIEWER, STRANGER, ANONYMOUS)


class Target(NamedTuple):
    """What a request is about: which workspace its address names, if any, and which object."""

    path: str
    project: str = ""
    kind: str = ""
    what: str = ""

    @property
    def is_elsewhere(self) -> bool:
        return self.project not in ("", IN_THE_TEAM)


def targets(team: Team, pattern: str) -> list[Target]:
    """Return an address for each object that a route can be about, and for what never was."""
    kinds = ARGUMENT.findall(pattern)
    projects = ids_of(team, "project_id") if "project_id" in kinds else {"": ""}
    kind = next((name for name in kinds if name != "project_id"), "")
    objects = ids_of(team, kind) if kind else {"": ""}
    found = []
    for whose, project in projects.items():
        # from another workspace nothing is found, least of all what is in the team
        for what, id in list(objects.items())[: None if whose in ("", IN_THE_TEAM) else 1]:
            ids = {"project_id": project, kind: id}
            path = ARGUMENT.sub(lambda argument, ids=ids: ids[argument[1]], pattern)  # type: ignore[misc]
            found.append(Target(path, whose, kind, what))
    return found


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
                refusals.compare(actor, target, answer)
            if method == "GET" and actor in ASKED_FOR_HEAD:
                head = team.ask(actor, "HEAD", target.path, names_workspace=not target.project)
                assert (head.status, head.text) == (answer.status, ""), f"{actor}: HEAD {target.path}"


def keys_with_other_scopes(team: Team, row: Row) -> list[str]:
    """Make a key with all but the needed scopes, and one with each of the needed ones alone."""
    if row.needs == PUBLIC:
        return []
    if row.needs == ANY_CALLER:
        return [team.add_key_with(set())]
    enough = GIVEN_BY[row.needs]
    return [team.add_key_with(SCOPES - enough), *(team.add_key_with({scope}) for scope in sorted(enough))]


def is_strangers_own(actor: str, target: Target) -> bool:
    return actor in (*STRANGERS, INTRUDER) and A_STRANGERS in (target.project, target.what)


class Refusals:
    """The refusals of a route: each actor gets one in the same words, and as fast, whatever it is about."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int, bool], tuple[int, str, int]] = {}

    def compare(self, actor: str, target: Target, answer: Response) -> None:
        before = self._seen.setdefault((actor, answer.status, target.is_elsewhere), answer.words)
        assert answer.words == before, f"{actor}: {target.path} is told from others"


def expected(row: Row, method: str, actor: str, target: Target) -> tuple[tuple[int, ...], str | None]:
    """Return the statuses that are right, and the error's code where it matters."""
    if row.needs == PUBLIC:
        return row.answers, None
    if actor in UNKNOWN:
        return (401,), None
    if actor in OUTSIDE and not target.project:
        return (404,), NOT_FOUND
    if actor == FORGED and method != "GET":
        return (403,), "csrf_failed"
    if target.is_elsewhere or (target.project and actor in (*STRANGERS, *OUTSIDE)):
        return (404,), NOT_FOUND
    if row.needs not in {ANY_CALLER, *permissions_of(actor)}:
        wants_person = is_key(actor) and row.needs in SESSION_ONLY
        return (403,), "session_required" if wants_person else "insufficient_permissions"
    if actor == UNPROVED and row.proof:
        return (403,), "reauthentication_required"
    return about_object(row, actor, target)


def about_object(row: Row, actor: str, target: Target) -> tuple[tuple[int, ...], str | None]:
    if not target.kind:
        return row.answers, None
    audience = AUDIENCES[target.kind].get(target.what)
    who = MEMBERS_KEY if is_key(actor) and actor not in ACTORS else actor  # it made none of the tokens
    if audience is None or who not in audience.sees:
        return (404,), "model_not_found" if target.kind == "model_id" else NOT_FOUND
    if row.changes and who not in audience.changes:
        return (403,), "not_yours"
    return row.answers, None


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
    served = {route.split()[0] for route in API if route.split()[1] == pattern} - {"POST"} | {"OPTIONS"}
    for actor in (ANONYMOUS, STRANGER, KEY):
        answer = team.ask(actor, "OPTIONS", path)
        assert (answer.status, answer.text) == (200, "")
        assert served <= set(answer.headers["allow"].split(", "))


def test_a_workspace_that_is_named_is_not_told_from_one_that_never_was(team: Team) -> None:
    strange = team.ask(INTRUDER, "GET", "/v1/conversations")
    team.project = f"proj_{0:032x}"
    assert team.ask(INTRUDER, "GET", "/v1/conversations").words == strange.words
