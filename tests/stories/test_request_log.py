"""What became of a call can be read back by its `x-request-id`, and is one line of the log."""

from core.ids import KEY, PROJECT, format_id
from tests.support.call_log import CallLog
from tests.support.people import Person
from tests.support.running_server import PATHS, Server, chat_body


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
