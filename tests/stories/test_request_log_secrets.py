"""Nothing of what was said, and no key, gets into the record of calls, wherever somebody puts it."""

from typing import Any

import pytest
from django.db import connection

from accounts.keys.services import create_api_key
from chatapi.models import RequestCount, RequestRecord
from tests.support.call_log import CallLog
from tests.support.fake_upstream import say, status, stream
from tests.support.media_requests import UPSTREAM, upstream_model
from tests.support.people import Person, token_for
from tests.support.running_server import PATHS, Server, chat_body

CONTENT = "swordfish"
"""What must be found nowhere: it could be a name, a code, or part of a path."""
VENDOR_KEY = "sk-proj-Abcdefgh12345678IJKLMNOP"


def everything_stored() -> str:
    with connection.cursor() as cursor:
        rows = ""
        for model in (RequestRecord, RequestCount):
            cursor.execute(f"SELECT * FROM {model._meta.db_table}")
            rows += repr(cursor.fetchall())
    return rows


def pasted_into(field: str, text: str) -> dict[str, Any]:
    """Return a call, as the client's arguments, with a text in a place where it does not belong."""
    chat: dict[str, Any] = {"method": "POST", "url": PATHS["openai"], "json": chat_body("Hi")}
    match field:
        case "message":
            chat["json"] = chat_body(text)
        case "model":
            chat["json"] = {**chat_body("Hi"), "model": text}
        case "key of metadata":
            chat["json"] = {**chat_body("Hi"), "store": True, "metadata": {text: 1}}
        case "key with NUL":
            chat["json"] = {**chat_body("Hi"), "metadata": {text: "\0"}}
        case "key of a tool's schema":
            chat["json"] = {**chat_body("Hi"), "tools": [{"type": text}], "response_format": {"type": text}}
        case "path":
            return {"method": "GET", "url": f"/v1/{text}"}
        case "id":
            return {"method": "GET", "url": f"/v1/conversations/{text}/items?{text}={text}"}
        case "parameter":
            return {"method": "GET", "url": "/v1/conversations", "params": {text: text}}
        case "filter":
            return {"method": "GET", "url": "/v1/conversations", "params": {f"metadata[{text}]": "\0"}}
        case "header":
            chat["headers"] = {"idempotency-key": text * 99, "x-workspace-id": text, "user-agent": text}
        case "end user":
            chat["json"] = {**chat_body("Hi"), "user": text}
    return chat


FIELDS = (
    *("message", "model", "key of metadata", "key with NUL", "key of a tool's schema", "path", "id"),
    *("parameter", "filter", "header", "end user"),
)


def test_what_clients_paste_where_it_does_not_belong(
    server: Server, alice: Person, recorded: CallLog
) -> None:
    pasted = [CONTENT, f"{CONTENT} {CONTENT}", VENDOR_KEY, alice.key]
    with server.client(alice) as client:
        answers = [client.request(**pasted_into(field, text)) for field in FIELDS for text in pasted]
    log = recorded.flushed()
    assert RequestRecord.objects.count() == len(answers) == log.count("\n")
    for text in (CONTENT, VENDOR_KEY, alice.key):
        assert text not in log
        assert text not in everything_stored()


def test_keys_where_an_id_belongs_and_keys_that_are_used(
    server: Server, alice: Person, recorded: CallLog
) -> None:
    token, other = token_for(alice, "xavier"), create_api_key(alice.workspace, alice.user)[1]
    secrets = [alice.key, token, other, VENDOR_KEY]
    with server.client() as client:
        for secret in secrets:
            for sent in (alice.key, token):
                headers = {"x-request-id": secret, "x-api-key": sent}
                client.post(PATHS["native"], json=chat_body("Hi"), headers=headers)
                client.get("/v1/nowhere", headers=headers)
    log, rows = recorded.flushed(), everything_stored()
    assert log.count("\n") == RequestRecord.objects.count() == 16
    for secret in secrets:
        assert secret not in log
        assert secret not in rows


@pytest.mark.parametrize("streamed", [True, False])
def test_what_an_upstream_quotes(server: Server, alice: Person, recorded: CallLog, streamed: bool) -> None:
    quoted = {"message": f"No {CONTENT}", "code": CONTENT, "type": CONTENT, "param": CONTENT}
    with upstream_model(server) as upstream, server.client(alice) as client:
        for answer in (status(400, quoted), status(500, quoted), stream(say("Hm"), {"error": quoted})):
            upstream.will(answer)
            client.post(PATHS["openai"], json=chat_body("Hi", model=UPSTREAM, stream=streamed))
    log = recorded.flushed()
    assert log.count("\n") == 3
    assert CONTENT not in log
    assert CONTENT not in everything_stored()
