"""A browser holds a token that acts as its server's key, for one end user and not for long."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from django.db.models import F
from django.utils import timezone

from accounts.asgi_auth import CACHE_SECONDS
from accounts.keys.services import revoke_api_key
from accounts.models import ApiKey, EndUserToken, Membership
from conversations.models import Completion, Conversation, Message
from tests.support.media_requests import upload_file
from tests.support.people import Person, token_for
from tests.support.running_server import PATHS, Server, chat_body, events, text_of, wait_until

XAVIER, YVONNE = "xavier", "yvonne"
COMPLETIONS = PATHS["openai"]


@pytest.fixture
def xavier(server: Server, alice: Person) -> Iterator[httpx2.Client]:
    with browser_with(server, token_for(alice, XAVIER)) as client:
        yield client


@pytest.fixture
def yvonne(server: Server, alice: Person) -> Iterator[httpx2.Client]:
    with browser_with(server, token_for(alice, YVONNE)) as client:
        yield client


@contextmanager
def browser_with(server: Server, token: str) -> Iterator[httpx2.Client]:
    with server.client() as client:
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def said(client: httpx2.Client, text: str, **more: Any) -> Any:
    answer = client.post(COMPLETIONS, json=chat_body(text, **more))
    assert answer.status_code == 200, answer.text
    return answer.json()


def code_of(answer: httpx2.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json()["error"]["code"]


# --- whom it acts for -------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", PATHS)
def test_what_it_asks_is_stored_for_its_end_user(xavier: httpx2.Client, alice: Person, dialect: str) -> None:
    streamed = xavier.post(PATHS[dialect], json=chat_body("Hello", stream=True))
    assert text_of(events(streamed))

    conversation = Conversation.objects.get()
    assert (conversation.end_user, conversation.api_key_id, conversation.user) == (XAVIER, alice.key_id, None)
    assert Completion.objects.get().api_key_id == alice.key_id


@pytest.mark.parametrize("name", ["user", "safety_identifier"])
@pytest.mark.parametrize("dialect", PATHS)
def test_another_end_user_in_the_body_is_refused(xavier: httpx2.Client, dialect: str, name: str) -> None:
    refused = xavier.post(PATHS[dialect], json=chat_body("Hello", **{name: YVONNE}))

    assert code_of(refused) == (403, "another_end_user")
    assert refused.json()["error"]["param"] == name
    assert xavier.post(PATHS[dialect], json=chat_body("Hello", **{name: XAVIER})).status_code == 200
    assert Completion.objects.count() == 1


def test_browser_and_server_continue_each_others_conversation(
    server: Server, alice: Person, xavier: httpx2.Client
) -> None:
    with server.client(alice) as backend:
        first = said(backend, "Hello", user=XAVIER)
    history = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": first["choices"][0]["message"]["content"]},
        {"role": "user", "content": "And now?"},
    ]

    answer = xavier.post(COMPLETIONS, json={"model": "scripted", "messages": history})

    assert answer.status_code == 200
    assert Conversation.objects.count() == 1


# --- what it does not reach -------------------------------------------------------------------------


def test_another_end_users_conversation_cannot_be_read_continued_stopped_or_deleted(
    xavier: httpx2.Client, yvonne: httpx2.Client
) -> None:
    said(yvonne, "My secret")
    conversation, completion = Conversation.objects.get().public_id, Completion.objects.get().public_id
    item = Message.objects.earliest("id").public_id
    requests: list[tuple[str, str, Any]] = [
        ("GET", f"/v1/conversations/{conversation}", None),
        ("GET", f"/v1/conversations/{conversation}/items", None),
        ("POST", f"/v1/conversations/{conversation}/items", {"items": [{"role": "user", "content": "Hi"}]}),
        *(
            (method, f"/v1/conversations/{conversation}/items/{item}", body)
            for method, body in (("GET", None), ("POST", {"content": "Hi"}), ("DELETE", None))
        ),
        ("POST", f"/v1/conversations/{conversation}", {"visibility": "workspace"}),
        ("DELETE", f"/v1/conversations/{conversation}", None),
        ("GET", f"/v1/chat/completions/{completion}", None),
        ("POST", f"/v1/chat/completions/{completion}/cancel", None),
        (
            "POST",
            PATHS["native"],
            {**chat_body("What did she say?"), "context": {"conversation_id": conversation}},
        ),
    ]

    for method, path, body in requests:
        assert code_of(xavier.request(method, path, json=body)) == (404, "not_found"), path
    assert xavier.get("/v1/conversations").json()["data"] == []
    assert len(yvonne.get("/v1/conversations").json()["data"]) == 1
    assert Completion.objects.count() == 1


def test_another_end_users_file_cannot_be_read_or_sent_to_a_model(
    server: Server, xavier: httpx2.Client, yvonne: httpx2.Client
) -> None:
    sent = yvonne.post("/v1/files", files={"file": ("a.txt", b"My secret")}, data={"purpose": "user_data"})
    assert (sent.status_code, sent.json()["user"]) == (200, YVONNE)
    file = sent.json()["id"]
    part = {"type": "file", "file": {"file_id": file}}
    body = {"model": "scripted", "messages": [{"role": "user", "content": [part]}]}

    for path in (f"/v1/files/{file}", f"/v1/files/{file}/content", f"/v1/files/{file}/renditions"):
        assert xavier.get(path).status_code == 404
        assert yvonne.get(path).status_code == 200
    assert xavier.delete(f"/v1/files/{file}").status_code == 404
    assert code_of(xavier.post(COMPLETIONS, json=body)) == (404, "not_found")
    assert yvonne.post(COMPLETIONS, json=body).status_code == 200


def test_a_file_for_another_end_user_is_refused(xavier: httpx2.Client) -> None:
    refused = xavier.post("/v1/files", files={"file": ("a.txt", b"Hi")}, data={"user": YVONNE})

    assert code_of(refused) == (403, "another_end_user")


def test_an_end_users_name_is_taken_as_it_is_or_refused(server: Server, alice: Person) -> None:
    with server.client(alice) as backend:
        for name, param in (("a\0b", "user"), ("x" * 513, "user")):
            refused = backend.post("/v1/files", files={"file": ("a.txt", b"Hi")}, data={"user": name})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


def test_the_server_uploads_for_an_end_user_and_lists_theirs(
    server: Server, alice: Person, xavier: httpx2.Client
) -> None:
    other = upload_file(server, alice, b"Nobody's")
    with server.client(alice) as backend:
        backend.post("/v1/files", files={"file": ("a.txt", b"Hi")}, data={"user": XAVIER})
        everything = [row["id"] for row in backend.get("/v1/files").json()["data"]]
        of_xavier = [row["id"] for row in backend.get("/v1/files?user=xavier").json()["data"]]

    assert (len(everything), other in everything, len(of_xavier)) == (2, True, 1)
    assert [row["id"] for row in xavier.get("/v1/files").json()["data"]] == of_xavier


def test_an_idempotency_key_of_another_end_user_repeats_nothing(
    xavier: httpx2.Client, yvonne: httpx2.Client, server: Server, alice: Person
) -> None:
    body, same = chat_body("Hello"), {"Idempotency-Key": "first"}
    with server.client(alice) as backend:
        ids = [
            who.post(COMPLETIONS, json=body, headers=same).json()["id"] for who in (yvonne, xavier, backend)
        ]
        assert len(set(ids)) == 3
        for who, id in zip((yvonne, xavier, backend), ids, strict=True):
            assert who.post(COMPLETIONS, json=body, headers=same).json()["id"] == id


def test_another_end_users_spoken_answer_is_not_found_by_its_id(
    xavier: httpx2.Client, yvonne: httpx2.Client
) -> None:
    audio = {"modalities": ["text", "audio"], "audio": {"voice": "espeak-en-us", "format": "wav"}}
    spoken = said(yvonne, "[[text: My secret]]", **audio)["choices"][0]["message"]["audio"]["id"]
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "audio": {"id": spoken}},
        {"role": "user", "content": "What was that?"},
    ]
    body = {"model": "scripted", "messages": messages}
    never = json.loads(json.dumps(body).replace(spoken, "audio_" + "0" * 32))

    refused, unknown = (xavier.post(COMPLETIONS, json=one) for one in (body, never))

    assert (refused.status_code, unknown.status_code) == (400, 400)
    assert refused.json()["error"]["message"].replace(spoken, "") == unknown.json()["error"][
        "message"
    ].replace("audio_" + "0" * 32, "")
    assert yvonne.post(COMPLETIONS, json=body).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/organization/usage/completions?start_time=0",
        "/v1/organization/costs?start_time=0",
        "/v1/billing/balance",
        "/v1/billing/transactions",
        "/v1/me/exports",
    ],
)
def test_usage_money_and_the_account_are_not_for_end_users(xavier: httpx2.Client, path: str) -> None:
    assert code_of(xavier.get(path)) == (403, "insufficient_permissions")


def test_a_token_without_a_scope_may_do_less(server: Server, alice: Person) -> None:
    with browser_with(server, token_for(alice, XAVIER, scopes="history.read")) as reader:
        assert code_of(reader.post(COMPLETIONS, json=chat_body("Hi"))) == (403, "insufficient_permissions")
        assert code_of(reader.get("/v1/files")) == (403, "insufficient_permissions")
        assert reader.get("/v1/conversations").status_code == 200


def test_completions_alone_read_no_history_and_no_file(server: Server, alice: Person) -> None:
    file = upload_file(server, alice, b"My secret")
    audio = {"modalities": ["text", "audio"], "audio": {"voice": "espeak-en-us", "format": "wav"}}
    with server.client(alice) as backend:
        spoken = said(backend, "[[text: My secret]]", **audio)
    conversation, completion = Conversation.objects.get().public_id, Completion.objects.get().public_id
    ApiKey.objects.update(scopes="completions")

    with server.client(alice) as narrow:
        wait_until(lambda: narrow.get("/v1/conversations").status_code == 403)
        time.sleep(CACHE_SECONDS)  # for so long the streaming endpoints remember what the key was for
        by_file = {"role": "user", "content": [{"type": "file", "file": {"file_id": file}}]}
        by_audio = {"role": "assistant", "audio": {"id": spoken["choices"][0]["message"]["audio"]["id"]}}
        named = {**chat_body("Repeat it"), "context": {"conversation_id": conversation}}
        for path, body in (
            (COMPLETIONS, {"model": "scripted", "messages": [by_file]}),
            (COMPLETIONS, {"model": "scripted", "messages": [{"role": "user", "content": "Hi"}, by_audio]}),
            (PATHS["native"], named),
        ):
            assert code_of(narrow.post(path, json=body)) == (403, "insufficient_permissions")
        stopped = narrow.post(f"/v1/chat/completions/{completion}/cancel")
        assert (stopped.status_code, stopped.json()["choices"]) == (200, [])


def test_a_token_never_has_more_than_its_key(server: Server, alice: Person) -> None:
    token = token_for(alice, XAVIER)
    ApiKey.objects.update(scopes="files")

    with browser_with(server, token) as client:
        assert client.get("/v1/files").status_code == 200
        assert code_of(client.post(COMPLETIONS, json=chat_body("Hi"))) == (403, "insufficient_permissions")


# --- its end ----------------------------------------------------------------------------------------


ENDS: dict[str, Callable[[Person], object]] = {
    "revoked": lambda who: EndUserToken.objects.update(revoked_at=timezone.now()),
    "expired": lambda who: EndUserToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1)),
    "key revoked": lambda who: revoke_api_key(ApiKey.objects.get(pk=who.key_id)),
    "key expired": lambda who: ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1)),
    "key deleted": lambda who: ApiKey.objects.all().delete(),
    "maker has left": lambda who: Membership.objects.filter(user=who.user).delete(),
}


@pytest.mark.parametrize("end", ENDS)
def test_it_ends_with_its_own_life_and_with_its_keys(
    server: Server, alice: Person, xavier: httpx2.Client, end: str
) -> None:
    body = chat_body("[[text: begun]] [[stall]]", stream=True)
    with xavier.stream("POST", COMPLETIONS, json=body) as stream:
        lines = stream.iter_lines()
        assert any("begun" in line for line in lines)

        ENDS[end](alice)

        rest = list(lines)
    [last] = filter(None, rest)
    assert json.loads(last.removeprefix("data: "))["error"] == {
        "message": "The end-user token is wrong, revoked or expired. Have your server make another.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
    wait_until(lambda: Completion.objects.get().state == "cancelled")
    assert code_of(xavier.post(COMPLETIONS, json=chat_body("Hi"))) == (401, "invalid_api_key")


def test_other_tokens_and_the_key_go_on_when_one_is_revoked(
    server: Server, alice: Person, xavier: httpx2.Client, yvonne: httpx2.Client
) -> None:
    said(xavier, "Hi")
    EndUserToken.objects.filter(end_user=XAVIER).update(revoked_at=F("created_at"))

    wait_until(lambda: xavier.get("/v1/models").status_code == 401)
    said(yvonne, "Hi")
    with server.client(alice) as backend:
        said(backend, "Hi")
