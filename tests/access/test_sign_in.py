"""Who gets what where people sign in: see `sign_in_rows.py`."""

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession

from tests.access import sign_in_rows
from tests.access.actors import (
    ANONYMOUS,
    APP,
    ENDED_SESSION,
    KEY,
    MEMBER,
    OTHER,
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
    body: dict[str, str] | None = {} if is_api else None
    answer = team.ask(actor, method, path, body, names_workspace=False, media_type=media_type)
    location: str = answer.headers.get("location", "")
    return location.partition("?")[0] or answer.status


def part_of(route: str) -> str:
    """Return the beginning of a route's address: pages about one thing share it."""
    return "/".join(route.split()[1].split("/")[:4])


@pytest.mark.parametrize("part", sorted({part_of(route) for route in ROWS}))
def test_who_gets_what(team: Team, part: str) -> None:
    is_for_apps = part.startswith(sign_in_rows.APP)
    signed_in, by_the_other_way = (APP, MEMBER) if is_for_apps else (MEMBER, APP)
    for route, (anonymous, known) in ROWS.items():
        if part_of(route) == part:
            for nobody in (ANONYMOUS, KEY, TOKEN, by_the_other_way):
                assert answer_to(team, nobody, route) == anonymous, (nobody, route)
            assert answer_to(team, ENDED_SESSION, route) == (410 if is_for_apps else anonymous), route
            assert answer_to(team, signed_in, route) == known, route


def test_a_session_of_another_is_not_told_from_one_that_never_was(team: Team) -> None:
    for actor in (MEMBER, OTHER):
        key, user = team.session_key(actor), team.user_of(actor)
        UserSession.objects.create(user=user, session_key=key, ip="127.0.0.1", user_agent="Test")
    own, theirs = (UserSession.objects.get(user=team.user_of(actor)).pk for actor in (OTHER, MEMBER))

    def end(id: int) -> Response:
        return team.ask(OTHER, "DELETE", SESSIONS, {"sessions": [id]}, names_workspace=False)

    assert words_without(theirs, end(theirs)) == words_without(10**6, end(10**6))
    assert (end(theirs).status, end(own).status) == (400, 401)


def words_without(id: int, answer: Response) -> tuple[int, str, int]:
    """Return what the answer says, without the id that was sent."""
    return answer.status, answer.text.replace(f" {id} ", " x "), answer.queries


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_security_key_of_another_is_not_told_from_one_that_never_was(team: Team, method: str) -> None:
    theirs = Authenticator.objects.create(user=team.user_of(MEMBER), type="webauthn", data={"name": "Key"})

    def change(id: int) -> Response:
        body = {"id": id, "name": "Mine"} if method == "PUT" else {"authenticators": [id]}
        return team.ask(OTHER, method, SECURITY_KEYS, body, names_workspace=False)

    assert words_without(theirs.pk, change(theirs.pk)) == words_without(10**6, change(10**6))
    assert change(theirs.pk).status == 400
