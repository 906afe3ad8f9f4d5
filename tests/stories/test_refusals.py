"""Bad requests are refused with a clear error in the envelope and leave nothing behind."""

import contextlib
import json
import socket
import time
from copy import deepcopy
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from accounts.keys.services import revoke_api_key
from accounts.models import ApiKey
from conversations.models import Completion, Conversation, Message
from tests.support.examples import examples
from tests.support.people import Person
from tests.support.running_server import PATHS, Server, chat_body

USER = {"role": "user", "content": "Hi"}
TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}


def nothing_is_stored() -> bool:
    return not (Conversation.objects.exists() or Message.objects.exists() or Completion.objects.exists())


def assert_refused(response: httpx2.Response, status: int, param: str | None = None) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    if param is not None:
        assert error["param"] == param
    return error


def send_raw(server: Server, raw: bytes) -> bytes:
    """Send exactly these bytes and return the refusal."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        with contextlib.suppress(ConnectionError):  # it may refuse before it has read all
            connection.sendall(raw)
        while not answer.endswith(b"}}"):
            piece = connection.recv(65536)
            assert piece, answer
            answer += piece
    return answer


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": [3]}, "messages[0]"),
        ({"messages": [{"role": "wizard", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 3}]}]},
            "messages[0].content[0].text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "refusal", "refusal": "No"}]}]},
            "messages[0].content[0].type",
        ),
        ({"messages": [USER, {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id"),
        (
            {"messages": [USER, {"role": "tool", "content": "x", "tool_call_id": "none"}]},
            "messages[1].tool_call_id",
        ),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [TOOL], "tool_choice": "sometimes"}, "tool_choice"),
        ({"stream": False, "stream_options": {"include_usage": True}}, "stream_options"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"n": 0}, "n"),
        ({"n": 1.5}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"metadata": {"k": 3}}, "metadata.k"),
        ({"logprobs": True}, "logprobs"),
        ({"model": "no-such-model"}, "model"),
        ({"model": 3}, "model"),
    ],
)
def test_a_wrong_body_is_refused_and_the_parameter_is_named(
    server: Server, alice: Person, dialect: str, change: dict[str, Any], param: str
) -> None:
    with server.client(alice) as client:
        refused = client.post(PATHS[dialect], json={**chat_body("Hi"), **change})
    assert_refused(refused, 404 if change.get("model") == "no-such-model" else 400, param)
    assert nothing_is_stored()


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"properties": 3}, {"$ref": "http://10.0.0.1/x"}])
def test_an_invalid_schema_is_refused(server: Server, alice: Person, schema: dict[str, Any]) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    response_format = {"type": "json_schema", "json_schema": {"name": "f", "schema": schema}}
    with server.client(alice) as client:
        by_tool = client.post(PATHS["openai"], json=chat_body("Hi", tools=[tool]))
        by_format = client.post(PATHS["openai"], json=chat_body("Hi", response_format=response_format))
    assert assert_refused(by_tool, 400)["param"].startswith("tools[0].function.parameters")
    assert assert_refused(by_format, 400)["param"].startswith("response_format.json_schema.schema")


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b'"text"',
        b'{"messages": [{"role": "user", "content": "\xff"}]}',
        b'{"messages": [{"role": "user", "content": "\\ud83d"}]}',
        b'{"messages": [{"role": "user", "content": "a\\u0000b"}]}',
        b'{"messages": [{"role": "user", "content": "Hi"}], "temperature": NaN}',
        b'{"messages": [{"role": "user", "content": "Hi"}], "seed": 1' + b"0" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"messages": [{"role": "user", "content": "Hi"}], "context": ' + b'{"a":' * 500 + b"1" + b"}" * 501,
    ],
)
def test_bytes_that_are_not_a_request_are_refused(
    server: Server, alice: Person, dialect: str, raw: bytes
) -> None:
    with server.client(alice) as client:
        assert_refused(client.post(PATHS[dialect], content=raw), 400)
    assert nothing_is_stored()


def test_a_body_over_the_limit_is_refused_before_it_is_read(server: Server, alice: Person) -> None:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.key}\r\n"
    answer = send_raw(server, f"{head}Content-Length: {10**12}\r\n\r\n{{".encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"body_too_large"' in answer


def test_a_chunked_body_over_the_limit_is_refused(server: Server, alice: Person) -> None:
    piece = b" " * 2**20

    def endless() -> Any:
        for _ in range(40):
            yield piece

    with server.client(alice) as client:
        assert_refused(client.post(PATHS["openai"], content=endless()), 413)


def test_a_compressed_body_is_refused(server: Server, alice: Person) -> None:
    with server.client(alice, **{"content-encoding": "gzip"}) as client:
        assert_refused(client.post(PATHS["openai"], content=b"\x1f\x8b"), 415)


def test_only_post_is_allowed_and_the_405_says_so(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            refused = client.request(method, PATHS["native"])
            assert_refused(refused, 405)
            assert refused.headers["allow"] == "POST"


def test_nobody_without_a_valid_key_is_answered(server: Server, alice: Person) -> None:
    key = ApiKey.objects.get(workspace=alice.workspace)
    with server.client() as client:
        nobody = client.post(PATHS["openai"], json=chat_body("Hi"))
        assert assert_refused(nobody, 401)["code"] is None
        wrong = client.post(PATHS["openai"], json=chat_body("Hi"), headers={"x-api-key": "sk-chatapi-wrong"})
        assert assert_refused(wrong, 401)["code"] == "invalid_api_key"
        assert "sk-chatapi-wrong" not in wrong.text
        assert client.post(PATHS["openai"], json=chat_body("Hi"), headers={"x-api-key": alice.key}).is_success
    Completion.objects.all().delete()
    revoke_api_key(key)
    with server.client(alice) as client:
        revoked = client.post(PATHS["openai"], json=chat_body("Hi"))
        assert assert_refused(revoked, 401)["code"] == "invalid_api_key"
        ApiKey.objects.update(revoked_at=None, expires_at=timezone.now() - timedelta(seconds=1))
        assert_refused(client.post(PATHS["openai"], json=chat_body("Hi")), 401)
        ApiKey.objects.update(expires_at=None)
        alice.user.is_active = False
        alice.user.save()
        assert_refused(client.post(PATHS["openai"], json=chat_body("Hi")), 401)
    assert not Completion.objects.exists()


def test_odd_keys_are_wrong_keys(server: Server) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nAuthorization: "
    for value in (b"Bearer \xff\xfe", b"Bearer ", b"Bearer", b"Basic abc", b"Bearer " + b"x" * 6000):
        assert send_raw(server, head + value + b"\r\n\r\n").startswith(b"HTTP/1.1 401 ")


def test_bytes_that_are_not_http_are_refused_in_the_envelope(server: Server) -> None:
    answer = send_raw(server, b"NONSENSE\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"invalid_http"' in answer
    assert b"x-request-id: req_" in answer


def test_an_endless_head_is_refused(server: Server) -> None:
    endless = b"GET /livez HTTP/1.1\r\n" + b"x-padding: " + b"x" * 400_000
    assert send_raw(server, endless).startswith(b"HTTP/1.1 431 ")


def test_a_head_that_never_arrives_is_refused(server: Server, settings: Settings) -> None:
    settings.CHATAPI_HEAD_SECONDS = 0.2
    assert send_raw(server, b"GET /livez HTTP/1.1\r\nhost: x\r\n").startswith(b"HTTP/1.1 408 ")


def test_a_body_that_never_arrives_is_refused(server: Server, alice: Person, settings: Settings) -> None:
    settings.CHATAPI_BODY_SECONDS = 0.2
    head = f"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer {alice.key}\r\nHost: x\r\n"
    answer = send_raw(server, f"{head}Content-Length: 9\r\n\r\n{{".encode())
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in answer


# --- property test: any request gets a proper response ----------------------------------------------

VALID_BODIES: list[dict[str, Any]] = [
    chat_body("Hi"),
    chat_body("Hi", temperature=0.5, stop=["x"], seed=7, metadata={"a": "b"}, user="ann", n=2),
    {
        "model": "scripted",
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "noon"},
        ],
        "tools": [TOOL],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
    },
    {
        "model": "scripted",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                    {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                ],
            }
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "x",
                "schema": {"type": "object", "properties": {"a": {"type": "string"}}},
            },
        },
        "stream": True,
        "stream_options": {"include_usage": True},
        "context": {"a": [1, {"b": None}]},
    },
]

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["", "user", "assistant", "tool", "auto", "text", "conv_" + "0" * 32, "\x00", "\ud83d"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A valid request with up to three things in it replaced, removed or added; sometimes cut short."""
    body: Any = deepcopy(draw(st.sampled_from(VALID_BODIES)))
    for _ in range(draw(st.integers(0, 3))):
        _mutate(draw, body)
    raw = json.dumps(body).encode()
    if draw(st.integers(0, 9)) == 0:
        raw = raw[: draw(st.integers(0, len(raw)))] + draw(st.binary(max_size=4))
    return raw


def _mutate(draw: st.DrawFn, body: Any) -> None:
    here = body
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        if isinstance(here[key], dict | list) and here[key] and draw(st.booleans()):
            here = here[key]
            continue
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "replace":
            here[key] = draw(anything)
        elif action == "remove":
            del here[key]
        elif isinstance(here, dict):
            here[draw(st.text(max_size=6))] = draw(anything)
        return


@pytest.mark.hypothesis
@pytest.mark.parametrize("dialect", PATHS)
def test_no_request_causes_a_500_or_hangs_or_leaves_rows(server: Server, alice: Person, dialect: str) -> None:
    answered = 0
    slowest = 0.0
    with server.client(alice) as client:

        @settings(
            max_examples=examples(400),
            suppress_health_check=list(HealthCheck),
        )
        @given(bodies())
        def send(raw: bytes) -> None:
            nonlocal answered, slowest
            begun = time.monotonic()
            response = client.post(PATHS[dialect], content=raw)
            slowest = max(slowest, time.monotonic() - begun)
            if response.status_code == 200:
                answered += 1
            else:
                assert_refused(response, response.status_code)
                assert 400 <= response.status_code < 500, response.text

        send()
    assert answered > examples(400) / 8
    assert slowest < 5
    server.until_idle()
    assert Completion.objects.count() == answered
    assert set(Completion.objects.values_list("state", flat=True)) == {"completed"}
    assert Conversation.objects.count() <= answered
