"""What became of a call can be read back by its `x-request-id`, and is one line of the log."""

from typing import Any

from accounts.keys.services import create_api_key
from accounts.permissions import Scope
from chatapi.models import RequestCount, RequestRecord
from core.http.call_record import CLIENT_DISCONNECTED
from core.ids import KEY, PROJECT, format_id
from tests.support.call_log import CallLog
from tests.support.leaving import read_until
from tests.support.people import Person, signed_in, token_for
from tests.support.running_server import PATHS, Server, chat_body, wait_until


def test_alice_reads_back_what_became_of_her_call(server: Server, alice: Person, recorded: CallLog) -> None:
    with server.client(alice) as client:
        answer = client.post(PATHS["openai"], json=chat_body("Hi"), headers={"x-request-id": "mine-1"})
        id = answer.headers["x-request-id"]
        found = client.get(f"/v1/requests/{id}").json()

    assert id.startswith("req_")
    assert found.pop("duration_ms") >= 0
    assert abs(found.pop("created_at") - answer.json()["created"]) <= 1
    key = {"id": format_id(KEY, alice.key_id), "prefix": alice.key[:15]}
    assert found == {
        "id": id,
        "object": "request",
        "method": "POST",
        "route": "/v1/chat/completions",
        "api_key": key,
        "model": "scripted",
        "completion_id": answer.json()["id"],
        "status": 200,
        "code": None,
        "param": None,
        "upstream_failure": None,
        "client_request_id": "mine-1",
    }

    line = recorded.line(answer)
    assert line.pop("time").endswith("Z")
    assert line.pop("ms") >= 0
    assert line == {
        "request": id,
        "method": "POST",
        "route": "/v1/chat/completions",
        "status": 200,
        "workspace": format_id(PROJECT, alice.workspace.pk),
        "key": key["id"],
        "key_prefix": key["prefix"],
        "model": "scripted",
        "completion": answer.json()["id"],
        "client_request_id": "mine-1",
    }


def outcome(line: dict[str, Any]) -> tuple[Any, ...]:
    return line["status"], line.get("code"), line.get("param"), line["route"]


def test_refused_calls_are_recorded_too(
    server: Server, alice: Person, charlie: Person, recorded: CallLog
) -> None:
    none = "conv_" + "0" * 32
    reader = create_api_key(alice.workspace, alice.user, scopes=[Scope.HISTORY_READ])[1]
    limited, few = create_api_key(alice.workspace, alice.user, requests_per_minute=1)
    chat, route = PATHS["openai"], "/v1/chat/completions"
    with server.client(alice) as client:

        def post(body: Any, **headers: str) -> Any:
            return client.post(chat, json=body, headers=headers)

        expected = {
            post({**chat_body("Hi"), "temperature": "hot"}): (400, "invalid_type", "temperature", route),
            client.post(chat, content=b"{"): (400, "invalid_json", None, route),
            post(chat_body("Hi"), authorization=f"Bearer {reader}"): (
                403,
                "insufficient_permissions",
                None,
                route,
            ),
            post({**chat_body("Hi"), "model": "gpt-9"}): (404, "model_not_found", "model", route),
            client.get(f"/v1/conversations/{none}"): (
                404,
                "not_found",
                "conversation_id",
                "/v1/conversations/{conversation_id}",
            ),
            client.get("/v1/swordfish/hunter2"): (404, "not_found", None, ""),
            client.put(chat): (405, "method_not_allowed", None, route),
            client.delete("/v1/audio/speech"): (405, "method_not_allowed", None, "/v1/audio/speech"),
            client.post("/v1/conversations", content=b" " * 2**22): (
                413,
                "body_too_large",
                None,
                "/v1/conversations",
            ),
            client.get("/v1/conversations?swordfish=1"): (
                400,
                "unsupported_parameter",
                None,
                "/v1/conversations",
            ),
            client.get(f"/v1/organization/projects/{format_id(PROJECT, charlie.workspace.pk)}/users"): (
                404,
                "not_found",
                "project_id",
                "/v1/organization/projects/{project_id}/users",
            ),
        }
        post(chat_body("Hi"), authorization=f"Bearer {few}")
        beyond = post(chat_body("Hi"), authorization=f"Bearer {few}")
        expected[beyond] = (429, "rate_limit_exceeded", None, route)
    for answer, wanted in expected.items():
        assert answer.status_code == wanted[0], answer.text
        line, row = recorded.line(answer), recorded.row(answer)
        assert outcome(line) == wanted
        assert (row.status, row.code or None, row.param or None, row.route) == wanted
        assert row.workspace_id == alice.workspace.pk
    assert recorded.row(beyond).api_key_id == limited.pk


def test_calls_without_a_valid_key_are_counted_and_not_stored(
    server: Server, alice: Person, recorded: CallLog
) -> None:
    with server.client() as client:
        for headers in ({}, {"authorization": "Bearer sk-chatapi-wrong"}):
            assert client.post(PATHS["native"], json=chat_body("Hi"), headers=headers).status_code == 401
            assert client.get("/v1/models", headers=headers).status_code == 401
            assert client.get("/v1/nowhere", headers=headers).status_code == 404
        client.options("/v1/models")
        client.get("/docs")
    assert recorded.lines() == []
    assert not RequestRecord.objects.exists()
    counted = RequestCount.objects.get()
    assert (counted.kind, counted.count) == (RequestCount.Kind.UNAUTHENTICATED, 6)


def test_an_end_user_sees_what_their_own_browser_called(
    server: Server, alice: Person, recorded: CallLog
) -> None:
    of_xavier, of_yvonne = (
        {"authorization": f"Bearer {token_for(alice, name)}"} for name in ("xavier", "yvonne")
    )
    with server.client() as client:
        answer = client.post(PATHS["native"], json=chat_body("Hi"), headers=of_xavier)
        path = f"/v1/requests/{answer.headers['x-request-id']}"
        assert client.get(path, headers=of_xavier).json()["api_key"] is None  # the server's is not for pages
        assert client.get(path, headers=alice.headers).json()["api_key"]["id"] == format_id(KEY, alice.key_id)
        assert client.get(path, headers=alice.headers).status_code == 200
        assert client.get(path, headers=of_yvonne).status_code == 404


def test_a_client_that_left_finds_out_how_far_it_came(
    server: Server, alice: Person, recorded: CallLog
) -> None:
    body = chat_body("[[slow: 0.02]] [[chunks: 60]]", stream=True)
    with server.client(alice) as client, client.stream("POST", PATHS["openai"], json=body) as answer:
        read_until(answer.iter_text(), "w1")
    wait_until(recorded.lines)
    line = recorded.line(answer)
    assert outcome(line) == (200, CLIENT_DISCONNECTED, None, "/v1/chat/completions")
    assert line["completion"] == answer.headers["x-completion-id"]


def test_an_answer_that_fails_on_the_way_says_why(server: Server, alice: Person, recorded: CallLog) -> None:
    with server.client(alice) as client:
        broken = client.post(PATHS["openai"], json=chat_body("[[error-after: 1 500 Broken]]", stream=True))
        refused = client.post(PATHS["openai"], json=chat_body("[[error: 502 Broken]]", stream=True))
    assert outcome(recorded.line(broken)) == (200, "upstream_error", None, "/v1/chat/completions")
    assert outcome(recorded.line(refused)) == (502, "upstream_error", None, "/v1/chat/completions")


def test_what_keys_called_is_seen_in_a_session_by_who_manages_them(
    server: Server, alice: Person, bob: Person, recorded: CallLog
) -> None:
    with server.client(alice) as client:
        called = client.get("/v1/models").headers["x-request-id"]
    recorded.flushed()
    statuses = {
        name: signed_in(who.user)
        .get(f"/v1/requests/{called}", headers={"x-workspace-id": format_id(PROJECT, alice.workspace.pk)})
        .status_code
        for name, who in {"owner": alice, "member": bob}.items()
    }
    assert statuses == {"owner": 200, "member": 404}
