"""`store: false`: answered and billed, and nothing of what was said is left anywhere."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from django.db import connection
from django.utils import timezone

from billing.models import Charge
from chatapi.completions.process_heartbeats import journal_path
from chatapi.completions.recovery import settle_interrupted
from conversations.models import Completion, Conversation, Message
from core.ids import new_id
from media.cleanup import delete_unused
from media.models import Asset, Rendition
from media.storage.operations import walk
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.media_requests import picture, sound, text, user_request, wait_for_renditions
from tests.support.people import Person, token_for
from tests.support.pictures import encode_picture, quarters
from tests.support.priced_usage import COMPLETION, PROMPT, add_credit, assert_ledger_adds_up
from tests.support.running_server import PATHS, Server, chat_body, events, wait_until
from tests.support.sounds import sound_file
from tests.support.spoken_streams import spoken_request

WORD = "marmalade"
KEY = {"Idempotency-Key": "order-40"}
TOOLS = [{"type": "function", "function": {"name": WORD, "parameters": {"type": "object"}}}]
UNKEPT: dict[str, Any] = {"store": False, "metadata": {"topic": WORD}}


def unkept(script: str = WORD, **more: Any) -> dict[str, Any]:
    return chat_body(script, **{**UNKEPT, **more})


def in_database() -> str:
    """Return all that the database holds, of whatever table."""
    tables = connection.introspection.table_names()
    rows: list[str] = []
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            rows += [f"{table}: {row}" for row in cursor.fetchall()]
    return "\n".join(rows)


def assert_no_word_is_left() -> None:
    kept = [row for row in in_database().split("\n") if WORD in row]
    assert not kept
    assert not Message.objects.exists()
    assert not Conversation.objects.exists()


ANSWERED = {
    "text": unkept(f"[[text: {WORD}]] [[reason: {WORD}]]", stop=[f"{WORD}!"]),
    "two choices": unkept(n=2),
    "tools": unkept(f"[[tool: {WORD} {{}}]]", tools=TOOLS),
    "a refusal": unkept(f"[[refuse: {WORD}]]"),
    "JSON": unkept(response_format={"type": "json_object"}),
    "a sound of the model's": unkept(f"[[audio]] {WORD}", modalities=["text", "audio"])
    | {"audio": {"voice": "alloy", "format": "pcm16"}},
    "a sound made here": spoken_request(WORD, stream=True, **UNKEPT),
}
FAILED = {
    "before": unkept(f"[[error: 400 code={WORD} type={WORD} param={WORD} {WORD}!]]"),
    "amid": unkept(f"[[text: {WORD} {WORD}]] [[error-after: 1 500 {WORD}]]"),
    "broken off": unkept(f"[[text: {WORD}]] [[break]]"),
}


@pytest.mark.parametrize("dialect", PATHS)
def test_no_word_of_an_answer_is_left(server: Server, alice: Person, dialect: str) -> None:
    with server.client(alice) as client:
        for what, body in ANSWERED.items():
            answer = client.post(PATHS[dialect], json={"stream": False, **body})
            assert (answer.status_code, WORD in answer.text or "sound" in what or what == "JSON") == (
                200,
                True,
            ), what
            assert answer.headers["x-completion-id"]
            assert not {"x-conversation-id", "x-message-id"} & answer.headers.keys()
        for body in FAILED.values():
            failed = client.post(PATHS[dialect], json={**body, "stream": True})
            assert WORD in failed.text
        server.until_idle()
        for completion in Completion.objects.all():
            assert client.get(f"/v1/chat/completions/{completion.public_id}").status_code == 404
        assert client.get("/v1/chat/completions?state=any").json()["data"] == []
        assert client.get("/v1/conversations").json()["data"] == []
    assert [one.state for one in Completion.objects.order_by("id")] == ["completed"] * 7 + ["failed"] * 3
    assert_no_word_is_left()
    assert not any(walk(alice.workspace.pk.hex))  # no sound either


def test_none_is_left_by_what_was_stopped(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for state in ("cancelled", "interrupted"):
            body = unkept(f"[[text: {WORD}]] [[stall]]", stream=True)
            with client.stream("POST", PATHS["native"], json=body) as response:
                pieces = response.iter_text()
                assert WORD in next(pieces)
                server.loop.call_soon_threadsafe(server.only_pump().cancel, state)
                list(pieces)
            server.until_idle()
            assert Completion.objects.latest("id").state == state
    assert_no_word_is_left()


def test_none_is_left_by_a_process_that_was_killed(server: Server, alice: Person) -> None:
    """What it leaves are its rows and its journal; and its true end, if it is alive after all, adds none."""
    with server.client(alice) as client:
        body = unkept(f"[[text: {WORD}]] [[stall]]", stream=True)
        with client.stream("POST", PATHS["native"], json=body) as response:
            pieces = response.iter_text()
            assert WORD in next(pieces)
            assert WORD.encode() not in journal_path(server.service.process_id).read_bytes()
            assert_no_word_is_left()
            Completion.objects.update(process=new_id())
            settle_interrupted()
            assert Completion.objects.get().state == "interrupted"
            server.loop.call_soon_threadsafe(server.only_pump().cancel)
            list(pieces)
        server.until_idle()
    assert Completion.objects.get().state == "cancelled"
    assert_no_word_is_left()


def test_its_files_are_freed_with_all_that_was_made_of_them(
    server: Server, alice: Person, recognizer: FakeRecognizer
) -> None:
    recognizer.will_hear(WORD)
    parts = [text(WORD), sound(sound_file("wav"), "wav"), picture(encode_picture(quarters()))]
    document = {
        "type": "file",
        "file": {"filename": f"{WORD}.txt", "file_data": "data:text/plain;base64,SGVsbG8="},
    }
    with server.client(alice) as client:
        answer = client.post(PATHS["openai"], json=user_request(*parts, document, model="scripted", **UNKEPT))
    assert answer.status_code == 200, answer.text
    wait_for_renditions()
    assert (Asset.objects.count(), Rendition.objects.count()) != (0, 0)

    Asset.objects.update(created_at=timezone.now() - timedelta(hours=2))
    with server.client(alice) as client:  # whoever uses them again has them for another hour
        client.post(PATHS["openai"], json=user_request(*parts, document, model="scripted", **UNKEPT))
    assert delete_unused() == 0
    delete_unused(timezone.now() + timedelta(hours=2))

    assert (Asset.objects.count(), Rendition.objects.count()) == (0, 0)
    assert not any(walk(alice.workspace.pk.hex))
    assert_no_word_is_left()


def test_it_is_billed_once_and_shown_in_what_was_used(server: Server, alice: Person) -> None:
    add_credit(alice, 10**9)
    body = unkept("[[text: one two]]", model="priced")
    with server.client(alice, **KEY) as client:
        answer = client.post(PATHS["openai"], json=body)
        again = client.post(PATHS["openai"], json=body)
        other = client.post(PATHS["openai"], json={**body, "n": 2})
        assert_ledger_adds_up()
        start = int(timezone.now().timestamp()) - 3600
        used = client.get(f"/v1/organization/usage/completions?start_time={start}").json()
    assert answer.status_code == 200
    assert (again.status_code, again.json()["error"]["code"]) == (409, "not_stored")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")
    usage = answer.json()["usage"]
    cost = usage["prompt_tokens"] * PROMPT + 2 * COMPLETION
    assert (Charge.objects.get().cost, Completion.objects.get().cost) == (cost, cost)
    results = [result for bucket in used["data"] for result in bucket["results"]]
    assert sum(result["num_model_requests"] for result in results) == 1


def test_a_repeat_joins_it_while_it_is_made(server: Server, alice: Person) -> None:
    body = unkept("[[slow: 0.1]] [[chunks: 10]]", stream=False)
    with server.client(alice, **KEY) as client, ThreadPoolExecutor(2) as threads:
        first = threads.submit(client.post, PATHS["openai"], json=body)
        wait_until(lambda: server.service.pumps)
        joined = threads.submit(client.post, PATHS["openai"], json=body)
        assert first.result().json() == joined.result().json()
        assert client.post(PATHS["openai"], json=body).status_code == 409


def test_it_reads_a_conversation_and_leaves_it_as_it_was(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        first = client.post(PATHS["openai"], json=chat_body("Hello"))
        before = (Conversation.objects.values().get(), list(Message.objects.order_by("id").values()))
        context = {"conversation_id": first.headers["x-conversation-id"]}
        answer = client.post(PATHS["openai"], json=unkept(context=context))
        anew = {**context, "regenerate": first.headers["x-message-id"]}
        again = client.post(PATHS["openai"], json=unkept(context=anew) | {"messages": []})
    assert answer.json()["usage"]["prompt_tokens"] > first.json()["usage"]["prompt_tokens"]
    assert again.json()["choices"][0]["message"]["content"] == "You said: Hello"
    assert "x-conversation-id" not in answer.headers
    assert before == (Conversation.objects.values().get(), list(Message.objects.order_by("id").values()))
    assert Completion.objects.filter(conversation=None).count() == 2
    assert "Hello" in in_database()
    assert WORD not in in_database()


# --- stopped by whoever sent it -------------------------------------------------------------------


@pytest.fixture
def of_an_end_user(server: Server, alice: Person) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {token_for(alice, 'xavier')}", **KEY}
    with server.client(None, **headers) as client:
        yield client


@pytest.mark.parametrize("path", ["/v1/chat/completions/cancel", "/v1/chat/completions/{id}/cancel"])
def test_it_is_cancelled_by_its_owner_alone(
    server: Server, alice: Person, charlie: Person, of_an_end_user: httpx2.Client, path: str
) -> None:
    other_token = {"Authorization": f"Bearer {token_for(alice, 'yvonne')}"}
    with (
        server.client(charlie, **KEY) as stranger,
        server.client(None, **KEY, **other_token) as other,
        of_an_end_user.stream(
            "POST", PATHS["native"], json=unkept(f"{WORD} [[stall]]", stream=True)
        ) as response,
    ):
        pieces = response.iter_text()
        assert next(pieces)
        address = path.format(id=response.headers["x-completion-id"])
        assert [client.post(address).status_code for client in (stranger, other)] == [404, 404]
        stopped = of_an_end_user.post(address).json()
        assert '"code":"cancelled"' in "".join(pieces)
    assert stopped.keys() == {"id", "object", "created", "model", "state", "usage"}
    assert (stopped["id"], stopped["state"]) == (response.headers["x-completion-id"], "cancelled")
    assert_no_word_is_left()


def test_a_deleted_answer_is_not_given_again(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        body = chat_body("Hello", stream=True)
        first = client.post(PATHS["openai"], json=body, headers=KEY)
        assert client.delete(f"/v1/chat/completions/{events(first)[0]['id']}").status_code == 200
        again = client.post(PATHS["openai"], json=body, headers=KEY)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "not_stored")
    assert Completion.objects.count() == 1
