"""Whose is what in one workspace: what people made in sessions, and what keys made for which end user."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.keys.validation import principal_of_secret
from accounts.models import Workspace
from accounts.ownership import visible_to
from accounts.roles import Role
from conversations.models import Completion, Conversation
from core.ids import PROJECT, format_id
from media.models import File
from tests.support.history_rows import add_message, completion_of, conversation_of, uploaded
from tests.support.people import person, set_role, signed_in, token_for

OWNER, ADMIN, MEMBER, OTHER, REVIEWER = "owner", "admin", "member", "other member", "reviewer"
KEY, OTHER_KEY, TOKEN, OTHER_TOKEN = "key", "other key", "xavier's token", "yvonne's token"
STRANGER = "stranger"

MANAGERS, KEYS = {OWNER, ADMIN}, {KEY, OTHER_KEY}
SEEN = {
    "the member's own": {MEMBER},
    "shared by the member": {OWNER, ADMIN, MEMBER, OTHER, REVIEWER},
    "the owner's own": {OWNER},
    "made by a key": MANAGERS | KEYS,
    "made for xavier": MANAGERS | KEYS | {TOKEN},
    "made for xavier, shared": MANAGERS | KEYS | {TOKEN, MEMBER, OTHER, REVIEWER},
    "made by a deleted key": MANAGERS | KEYS,
}
CHANGED = {
    **SEEN,
    "shared by the member": {MEMBER},
    "made for xavier, shared": MANAGERS | KEYS | {TOKEN},
}
ACTORS = [OWNER, ADMIN, MEMBER, OTHER, REVIEWER, KEY, OTHER_KEY, TOKEN, OTHER_TOKEN, STRANGER]


class Team:
    """A workspace with a person in each role, two keys, and tokens for two end users."""

    def __init__(self) -> None:
        self.people = {OWNER: person("alice@example.com")}
        self.workspace: Workspace = self.people[OWNER].workspace
        for name, role in (
            (ADMIN, Role.ADMIN),
            (MEMBER, Role.MEMBER),
            (OTHER, Role.MEMBER),
            (REVIEWER, Role.REVIEWER),
        ):
            self.people[name] = person(f"{name.replace(' ', '')}@example.com", self.workspace)
            set_role(self.people[name], role)
        self.people[STRANGER] = person("charlie@example.com")
        self.browsers: dict[str, Client] = {}
        self.secrets = {
            KEY: self.people[OWNER].key,
            OTHER_KEY: self.people[ADMIN].key,
            TOKEN: token_for(self.people[OWNER], "xavier"),
            OTHER_TOKEN: token_for(self.people[OWNER], "yvonne"),
        }

    def ask(self, actor: str, method: str, path: str, body: Any = None) -> Any:
        """Send a request as this actor, in the team's workspace unless that is a stranger's."""
        options: dict[str, Any] = {} if body is None else {"data": body, "content_type": "application/json"}
        call = method.lower()
        if actor in self.secrets:
            headers = {"Authorization": f"Bearer {self.secrets[actor]}"}
            return getattr(Client(), call)(path, headers=headers, **options)
        headers = {} if actor == STRANGER else {"X-Workspace-Id": format_id(PROJECT, self.workspace.pk)}
        if actor not in self.browsers:
            self.browsers[actor] = signed_in(self.people[actor].user)
        return getattr(self.browsers[actor], call)(path, headers=headers, **options)

    def columns(self, whose: str) -> dict[str, Any]:
        """Return what says whose a row is."""
        by_owner_key: dict[str, Any] = {"api_key_id": self.people[OWNER].key_id, "user": None}
        columns: dict[str, dict[str, Any]] = {
            "the member's own": {"api_key_id": None, "user": self.people[MEMBER].user},
            "shared by the member": {
                "api_key_id": None,
                "user": self.people[MEMBER].user,
                "visibility": "workspace",
            },
            "the owner's own": {"api_key_id": None, "user": self.people[OWNER].user},
            "made by a key": by_owner_key,
            "made for xavier": {**by_owner_key, "end_user": "xavier"},
            "made for xavier, shared": {**by_owner_key, "end_user": "xavier", "visibility": "workspace"},
            "made by a deleted key": {"api_key_id": self.workspace.pk, "user": None},
        }
        return columns[whose]


@pytest.fixture
def team(db: None) -> Team:
    return Team()


def exchange(team: Team, whose: str) -> Completion:
    conversation = conversation_of(team.people[OWNER], title=whose, **team.columns(whose))
    asked = add_message(conversation, "user", "Hello?")
    completion = completion_of(team.people[OWNER], asked)
    add_message(
        conversation, "assistant", "Hi.", after=asked, completion=completion, choice=0, finish_reason="stop"
    )
    return completion


@pytest.mark.parametrize("whose", SEEN)
def test_who_sees_a_conversation_its_items_and_its_completion(team: Team, whose: str) -> None:
    completion = exchange(team, whose)
    conversation = completion.stored_conversation.public_id
    for actor in ACTORS:
        expected = 200 if actor in SEEN[whose] else 404
        for path in (
            f"/v1/conversations/{conversation}",
            f"/v1/conversations/{conversation}/items",
            f"/v1/chat/completions/{completion.public_id}",
        ):
            assert team.ask(actor, "GET", path).status_code == expected, (actor, path)
        listed = [row["id"] for row in team.ask(actor, "GET", "/v1/conversations").json()["data"]]
        assert listed == ([conversation] if actor in SEEN[whose] else []), actor


@pytest.mark.parametrize("whose", SEEN)
def test_who_shares_and_deletes_a_conversation(team: Team, whose: str) -> None:
    id = exchange(team, whose).stored_conversation.id
    before = Conversation.objects.get().visibility
    path = f"/v1/conversations/{Conversation.objects.get().public_id}"
    for actor in ACTORS:
        expected = 200 if actor in CHANGED[whose] else 403 if actor in SEEN[whose] else 404
        if actor == REVIEWER:
            expected = 403  # who may change nothing is not told whether it is there
        if actor != TOKEN:
            answer = team.ask(actor, "POST", path, {"visibility": before})
            assert answer.status_code == expected, actor
        if expected != 200:
            assert team.ask(actor, "DELETE", path).status_code == expected, actor
    assert Conversation.objects.filter(pk=id, visibility=before, deleted_at=None).exists()
    deleter = next(actor for actor in ACTORS if actor in CHANGED[whose])
    assert team.ask(deleter, "DELETE", path).status_code == 200
    assert not Conversation.objects.filter(deleted_at=None).exists()
    for actor in ACTORS:
        listed = team.ask(actor, "GET", "/v1/conversations?deleted=true").json()["data"]
        assert len(listed) == (actor in SEEN[whose]), actor
        if actor not in CHANGED[whose]:
            refused = 403 if actor in SEEN[whose] or actor == REVIEWER else 404
            assert team.ask(actor, "POST", f"{path}/restore").status_code == refused, actor
    assert team.ask(deleter, "POST", f"{path}/restore").status_code == 200


@pytest.mark.parametrize("whose", SEEN)
def test_who_sees_and_deletes_a_file(team: Team, whose: str) -> None:
    file = uploaded(team.workspace, b"Hello.", **team.columns(whose))
    path = f"/v1/files/{file.public_id}"
    for actor in ACTORS:
        expected = 403 if actor == REVIEWER else 200 if actor in SEEN[whose] else 404
        for below in ("", "/renditions"):
            assert team.ask(actor, "GET", path + below).status_code == expected, (actor, below)
        listed = team.ask(actor, "GET", "/v1/files")
        if actor == REVIEWER:
            assert listed.status_code == 403
        else:
            assert len(listed.json()["data"]) == (actor in SEEN[whose]), actor
        if actor not in CHANGED[whose]:
            refused = 403 if actor in SEEN[whose] or actor == REVIEWER else 404
            assert team.ask(actor, "DELETE", path).status_code == refused, actor
    deleter = next(actor for actor in ACTORS if actor in CHANGED[whose])
    assert team.ask(deleter, "DELETE", path).status_code == 200
    assert not File.objects.exists()


def test_what_is_shared_is_shared_by_its_owner_and_taken_back(team: Team) -> None:
    own = exchange(team, "the member's own").stored_conversation
    path = f"/v1/conversations/{own.public_id}"
    assert team.ask(OTHER, "GET", path).status_code == 404

    shared = team.ask(MEMBER, "POST", path, {"visibility": "workspace"})
    assert (shared.status_code, shared.json()["visibility"]) == (200, "workspace")
    assert team.ask(OTHER, "GET", path).status_code == team.ask(REVIEWER, "GET", path).status_code == 200

    team.ask(MEMBER, "POST", path, {"visibility": "private"})
    assert team.ask(OTHER, "GET", path).status_code == 404


def test_an_end_users_browser_shares_nothing_with_the_members(team: Team) -> None:
    conversation = exchange(team, "made for xavier").stored_conversation
    file = uploaded(team.workspace, b"Hello.", **team.columns("made for xavier"))
    for path in (f"/v1/conversations/{conversation.public_id}", f"/v1/files/{file.public_id}"):
        refused = team.ask(TOKEN, "POST", path, {"visibility": "workspace"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (403, "visibility")
        assert team.ask(KEY, "POST", path, {"visibility": "workspace"}).status_code == 200


def test_who_becomes_a_reviewer_still_reads_their_own(team: Team) -> None:
    own = exchange(team, "the owner's own").stored_conversation
    path = f"/v1/conversations/{own.public_id}"
    set_role(team.people[OWNER], Role.REVIEWER)

    assert team.ask(OWNER, "GET", path).status_code == 200
    assert team.ask(OWNER, "DELETE", path).status_code == 403


@pytest.mark.parametrize(
    ("model", "order"), [(Conversation, "-updated_at"), (File, "-id")], ids=["conversations", "files"]
)
def test_an_index_finds_what_is_an_end_users_among_all_others(team: Team, model: Any, order: str) -> None:
    seen = visible_to(principal_of_secret(team.secrets[TOKEN]))
    rows = model.objects.filter(seen).order_by(order)[:20]

    if connection.vendor == "postgresql":  # which reads a small table whole, unless it may not
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    assert f"{model._meta.model_name}_of_end_user" in rows.explain()


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"visibility": "everybody"}, "visibility", "invalid_value"),
        ({"visibility": 1}, "visibility", "invalid_type"),
        ({"visiblity": "workspace"}, "visiblity", "unsupported_parameter"),
        ({}, None, "missing_required_parameter"),
        ({"visibility": None}, "visibility", "invalid_type"),
        ("[]", None, "invalid_type"),
        ('{"visibility": "\\u0000"}', "visibility", "invalid_value"),
        ("{", None, "invalid_json"),
    ],
)
def test_a_wrong_change_is_named(team: Team, body: Any, param: str | None, code: str) -> None:
    path = f"/v1/conversations/{exchange(team, 'made by a key').stored_conversation.public_id}"

    error = team.ask(KEY, "POST", path, body).json()["error"]

    assert (error["param"], error["code"] or "invalid_value") == (param, code)


@pytest.mark.parametrize("actor", [OWNER, MEMBER, KEY, TOKEN, STRANGER])
def test_what_is_anothers_costs_as_many_queries_as_what_never_was(team: Team, actor: str) -> None:
    whose = "the owner's own" if actor != OWNER else "the member's own"
    theirs = exchange(team, whose)
    file = uploaded(team.workspace, b"Hello.", **team.columns(whose))
    never = "0" * 32
    for path, id in (
        ("/v1/conversations/{}", theirs.stored_conversation.public_id),
        ("/v1/conversations/{}/items", theirs.stored_conversation.public_id),
        ("/v1/chat/completions/{}", theirs.public_id),
        ("/v1/files/{}", file.public_id),
    ):
        nobody = id[: -len(never)] + never
        answers = [counted(team, actor, path.format(one)) for one in (id, nobody)]
        assert answers[0] == answers[1], path


def counted(team: Team, actor: str, path: str) -> tuple[int, str, int]:
    """Return status, body and number of queries of a request in a new session."""
    team.browsers.clear()
    with CaptureQueriesContext(connection) as queries:
        answer = team.ask(actor, "GET", path)
    return answer.status_code, answer.text, len(queries)


def test_a_member_chooses_the_workspace_and_a_stranger_does_not_find_it(team: Team) -> None:
    exchange(team, "made by a key")
    project = format_id(PROJECT, team.workspace.pk)
    bob = signed_in(team.people[ADMIN].user)

    def listed(**headers: str) -> Any:
        return bob.get("/v1/conversations", headers=headers)

    assert listed().json()["data"] == []
    for name in ("X-Workspace-Id", "OpenAI-Project"):
        assert len(listed(**{name: project}).json()["data"]) == 1
    ours = format_id(PROJECT, team.people[ADMIN].user.personal_workspace.pk)
    assert listed(**{"X-Workspace-Id": ours, "OpenAI-Project": project}).json()["data"] == []
    strange = format_id(PROJECT, team.people[STRANGER].workspace.pk)
    for wrong in (strange, "proj_" + "0" * 32, "proj_1", "' OR 1=1", "ü"):
        answer = listed(**{"X-Workspace-Id": wrong})
        assert (answer.status_code, answer.json()["error"]["param"]) == (404, "X-Workspace-Id")


@pytest.mark.parametrize("name", ["X-Workspace-Id", "OpenAI-Project"])
def test_a_key_has_one_workspace(team: Team, client: Client, name: str) -> None:
    headers = team.people[OWNER].headers
    own = client.get("/v1/models", headers={**headers, name: format_id(PROJECT, team.workspace.pk)})
    assert own.status_code == 200
    for other in (format_id(PROJECT, team.people[STRANGER].workspace.pk), "proj_abc"):
        answer = client.get("/v1/models", headers={**headers, name: other})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "workspace_mismatch")


@pytest.mark.parametrize("query", ["user=%00", "user=a%00b", "purpose=%00", "purpose=anything"])
def test_a_list_of_files_refuses_what_no_file_can_have(team: Team, query: str) -> None:
    answer = team.ask(KEY, "GET", f"/v1/files?{query}")

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, query.partition("=")[0])
