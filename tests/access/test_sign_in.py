"""Who gets what where people sign in: see `sign_in_rows.py`."""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.access import sign_in_rows
from tests.access.actors import (
    ANONYMOUS,
    APP,
    ENDED_SESSION,
    KEY,
    MEMBER,
    OTHER,
    OWNER,
    REVOKED_KEY,
    STRANGER,
    TOKEN,
    Response,
    Team,
)
from tests.access.sign_in_rows import ROWS

ARGUMENTS = {
    "<str:token>": "never",
    "<int:pk>": "999",
    r"^confirm-email/(?P<key>[-:\w]+)/$": "confirm-email/never/",
    "^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": "password/reset/key/1-never/",
}
FORM = "application/x-www-form-urlencoded"
SESSIONS = sign_in_rows.BROWSER + "/auth/sessions"
SECURITY_KEYS = sign_in_rows.BROWSER + "/account/authenticators/webauthn"


@pytest.fixture
def team(db: None) -> Team:
    return Team()


def answer_to(team: Team, actor: str, route: str) -> int | str:
    """Return the status that somebody gets, or where they are sent."""
    method, path = route.split()
    for argument, value in ARGUMENTS.items():
        path = path.replace(argument, value)
    is_api = path.startswith("/_allauth/")
    media_type = "application/json" if is_api else FORM
    answer = team.ask(
        actor, method, path, {} if is_api else None, names_workspace=False, media_type=media_type
    )
    location: str = answer.headers.get("location", "")
    return location.partition("?")[0] or answer.status


@pytest.mark.parametrize("pattern", sorted({route.split()[1] for route in ROWS}))
def test_who_gets_what(team: Team, pattern: str) -> None:
    is_for_apps = pattern.startswith(sign_in_rows.APP)
    for route, (anonymous, signed_in) in ROWS.items():
        if route.split()[1] != pattern:
            continue
        for nobody in (ANONYMOUS, KEY, TOKEN, REVOKED_KEY, MEMBER if is_for_apps else APP):
            assert answer_to(team, nobody, route) == anonymous, (nobody, route)
        assert answer_to(team, ENDED_SESSION, route) == (410 if is_for_apps else anonymous), route
        for actor in [APP] if is_for_apps else [MEMBER, OWNER, STRANGER]:
            assert answer_to(team, actor, route) == signed_in, (actor, route)


def test_a_session_of_another_is_not_told_from_one_that_never_was(team: Team) -> None:
    for actor in (OTHER, MEMBER):
        team.session_key(actor)
    own = ids_of_sessions(team, OTHER)
    theirs = ids_of_sessions(team, MEMBER)
    assert own
    assert theirs
    assert not {*own} & {*theirs}

    refused = [end_sessions(team, OTHER, [id]) for id in (theirs[0], 10**6)]

    assert refused[0].words == refused[1].words
    assert refused[0].status == 400


def ids_of_sessions(team: Team, actor: str) -> list[int]:
    answer = team.ask(actor, "GET", SESSIONS, names_workspace=False)
    return [session["id"] for session in answer.json()["data"]]


def end_sessions(team: Team, actor: str, ids: Iterable[Any]) -> Response:
    return team.ask(actor, "DELETE", SESSIONS, {"sessions": [*ids]}, names_workspace=False)
