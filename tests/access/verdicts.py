"""What is right for each actor, by the rows: the routes' addresses, and the answers to expect there."""

import re
from itertools import islice
from typing import Any, NamedTuple

from tests.access.actors import (
    ACTORS,
    APP,
    FORGED,
    GIVEN_BY,
    INTRUDER,
    KEY,
    OUTSIDE,
    SCOPES,
    STRANGERS,
    TOKENS,
    UNKNOWN,
    UNPROVED,
    Team,
    is_key,
    permissions_of,
)
from tests.access.objects import A_STRANGERS, ids_of
from tests.access.rows import ANY_CALLER, AUDIENCES, IN_THE_TEAM, PUBLIC, Row

SESSION_ONLY = {"account", "ownership"}
ARGUMENT = re.compile(r"<\w+:(\w+)>")
NOT_FOUND = "not_found"


class Target(NamedTuple):
    """What a request is about: which workspace its address names, if any, and which object."""

    path: str
    project: str = ""
    kind: str = ""
    what: str = ""

    @property
    def is_elsewhere(self) -> bool:
        return self.project not in ("", IN_THE_TEAM)


def targets(team: Team, pattern: str, query: str = "") -> list[Target]:
    """Return an address for each object that a route can be about, and for what never was."""
    kinds = ARGUMENT.findall(pattern)
    projects = ids_of(team, "project_id") if "project_id" in kinds else {"": ""}
    kind = "/".join(name for name in kinds if name != "project_id")
    objects = ids_of(team, kind) if kind else {"": ""}
    found = []
    for whose, project in projects.items():
        # from another workspace nothing is found, least of all what is in the team
        for what, id in list(objects.items())[: None if whose in ("", IN_THE_TEAM) else 1]:
            ids = {"project_id": project, **_ids(kind, id)}
            path = ARGUMENT.sub(lambda argument, ids=ids: ids[argument[1]], pattern)  # type: ignore[misc]
            found.append(Target(f"{path}?{query}" if query else path, whose, kind, what))
    return found


def _ids(kind: str, id: str) -> dict[str, str]:
    return dict(zip(kind.split("/"), id.split("/", kind.count("/")), strict=True))


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
        self._seen: dict[tuple[str, int, bool], tuple[Any, ...]] = {}

    def compare(self, actor: str, target: Target, words: tuple[Any, ...]) -> None:
        before = self._seen.setdefault((actor, words[0], is_kept_out(actor, target)), words)
        assert words == before, f"{actor}: {target.path} is told from others"


def is_kept_out(actor: str, target: Target) -> bool:
    """Tell whether the address names a workspace that is not the actor's."""
    return target.is_elsewhere or bool(target.project and actor in (*STRANGERS, *OUTSIDE))


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
    if is_kept_out(actor, target):
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
    who = KEY if is_key(actor) and actor not in ACTORS else actor
    if audience is None or who not in audience.sees:
        return (404,), "model_not_found" if target.kind == "model_id" else NOT_FOUND
    if row.changes and who not in audience.changes:
        return (403,), "not_yours"
    if row.shares and actor in TOKENS:
        return (403,), "insufficient_permissions"
    return row.answers, None


def asked_about(row: Row, method: str, actor: str, found: list[Target]) -> list[Target]:
    """Return what somebody asks for: all objects, or three where whose they are makes no difference.

    Who is refused before an object is looked for is told the same of one that is there and of one that never
    was; who else acts as the owner or as a key, which ask for all, asks for one that they get, too.
    """
    if actor in ACTORS and actor not in (*UNKNOWN, FORGED, UNPROVED, APP):
        return found
    got = (target for target in found[:-2] if expected(row, method, actor, target)[0] == row.answers)
    return [*found[-2:], *islice(got, 1)]
