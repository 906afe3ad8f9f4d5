"""A whole chat product on the API: its server holds a key, each customer's page a token of its own."""

import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from conversations.models import Completion, Message
from tests.support.people import Person, token_for
from tests.support.priced_usage import assert_ledger_adds_up
from tests.support.running_server import Server, events, text_of, wait_until


class Page:
    """What a customer's page does; it knows nothing but its token."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def call(self, method: str, path: str, expected: int = 200, **options: Any) -> dict[str, Any]:
        response = self._client.request(method, path, **options)
        assert response.status_code == expected, response.text
        body: dict[str, Any] = response.json()
        return body

    def ask(self, text: str | None, key: str = "", **context: Any) -> httpx2.Response:
        messages = [] if text is None else [{"role": "user", "content": text}]
        headers = {"Prefer": "respond-early", **({"Idempotency-Key": key} if key else {})}
        body = {"model": "scripted", "messages": messages, "context": context}
        return self._client.post("/chat/completions", json=body, headers=headers)

    def say(self, text: str | None, **context: Any) -> tuple[str, str]:
        """Return the ids of the conversation and of the answer's message."""
        response = self.ask(text, **context)
        assert response.status_code == 200, response.text
        assert text_of(events(response))
        return response.headers["x-conversation-id"], response.headers["x-message-id"]

    def thread(self, conversation: str, query: str = "") -> list[str]:
        page = self.call("GET", f"/v1/conversations/{conversation}/items?order=asc{query}")
        return [part["text"] for item in page["data"] for part in item["content"]]

    def listed(self, query: str = "") -> list[str]:
        return [row["id"] for row in self.call("GET", f"/v1/conversations?{query}")["data"]]


@pytest.fixture
def ann(server: Server, alice: Person) -> Iterator[Page]:
    with server.client(Authorization=f"Bearer {token_for(alice, 'ann')}") as client:
        yield Page(client)


@pytest.fixture
def ben(server: Server, alice: Person) -> Iterator[Page]:
    with server.client(Authorization=f"Bearer {token_for(alice, 'ben')}") as client:
        yield Page(client)


def test_a_customer_talks_branches_stops_archives_deletes_and_restores(
    server: Server, alice: Person, ann: Page, ben: Page
) -> None:
    # talk
    trip, opening = ann.say("Where to?")
    path = f"/v1/conversations/{trip}"
    _, second = ann.say("And then?", conversation_id=trip)
    assert ann.thread(trip) == ["Where to?", "You said: Where to?", "And then?", "You said: And then?"]

    # branch, and back
    ann.say("By train?", conversation_id=trip, parent_message_id=opening)
    assert ann.thread(trip)[2] == "By train?"
    [train, *_] = ann.call("GET", f"{path}/items?limit=2")["data"][1:]
    assert len(train["siblings"]) == 2
    assert ann.call("PATCH", path, json={"head": second})["head_id"] == second
    assert ann.thread(trip)[2] == "And then?"
    assert ann.thread(trip, f"&branch={train['message_id']}")[2] == "By train?"

    # an answer made anew
    _, anew = ann.say(None, conversation_id=trip, regenerate=second)
    [shown] = ann.call("GET", f"{path}/items?limit=1")["data"]
    assert (shown["message_id"], shown["siblings"]) == (anew, [second, anew])
    assert Message.objects.filter(role="user").count() == 3

    # stopped before its first word
    stopped: list[httpx2.Response] = []
    asking = threading.Thread(
        target=lambda: stopped.append(ann.ask("[[wait: 60]] Hm", key="k", conversation_id=trip))
    )
    asking.start()
    wait_until(lambda: Completion.objects.filter(state="in_progress").exists())
    row = ann.call("GET", "/v1/conversations?limit=1")["data"][0]
    assert row["running_completion_id"].startswith("chatcmpl-")
    assert ann.call("GET", f"{path}/items?limit=1")["data"][0]["status"] == "in_progress"
    ben.call("POST", f"/v1/chat/completions/{row['running_completion_id']}/cancel", 404)
    ben.call("POST", "/v1/chat/completions/cancel", 404, headers={"Idempotency-Key": "k"})
    cancelled = ann.call("POST", "/v1/chat/completions/cancel", headers={"Idempotency-Key": "k"})
    assert (cancelled["id"], cancelled["state"]) == (row["running_completion_id"], "cancelled")
    asking.join(timeout=30)
    assert stopped[0].headers["x-completion-id"] == cancelled["id"]
    ann.say("Never mind", conversation_id=trip, parent_message_id=anew)

    # organized
    ann.call("PATCH", path, json={"title": "The trip", "tags": ["plans"], "pinned": True})
    other, _ = ann.say("Something else")
    assert ann.listed() == [other, trip]
    assert ann.listed("pinned=true") == ann.listed("tag=plans") == [trip]
    ann.call("PATCH", path, json={"archived": True})
    assert (ann.listed(), ann.listed("archived=true")) == ([other], [trip])

    # deleted, and restored with all that was in it
    before = ann.thread(trip)
    ann.call("DELETE", path)
    ann.call("GET", path, 404)
    assert ann.ask("More", conversation_id=trip).status_code == 404
    assert ann.listed("deleted=true&archived=any") == [trip]
    restored = ann.call("POST", f"{path}/restore")
    assert (restored["title"], restored["archived"]) == ("The trip", True)
    assert ann.thread(trip) == before

    # what is hers is nobody else's, and the product's server sees it all
    assert ben.listed("archived=any") == []
    with server.client(alice) as product:
        rows = product.get("/v1/conversations?user=ann&archived=any").json()["data"]
        assert {row["id"] for row in rows} == {trip, other}
        assert product.get("/v1/conversations?user=ben&archived=any").json()["data"] == []
    assert_ledger_adds_up()


def test_a_customer_judges_an_answer_and_the_product_reads_it(
    server: Server, alice: Person, ann: Page, ben: Page
) -> None:
    conversation, message = ann.say("Is it good?")
    [item] = ann.call("GET", f"/v1/conversations/{conversation}/items?limit=1")["data"]
    path = f"/v1/chat/completions/{item['completion_id']}/feedback"

    ann.call("POST", path, json={"thumbs": "up"})
    ann.call("POST", path, json={"thumbs": "down", "comment": "It says what I said."})
    ben.call("POST", path, 404, json={"thumbs": "up"})

    with server.client(alice) as product:
        shown = product.get(f"/v1/conversations/{conversation}/items?limit=1").json()["data"][0]
    [feedback] = shown["feedback"]
    assert (feedback["source"], feedback["user"]) == ("end_user", "ann")
    assert (feedback["thumbs"], feedback["comment"]) == ("down", "It says what I said.")
    assert shown["id"] == message


def test_what_is_asked_in_private_is_never_read(server: Server, alice: Person, ann: Page) -> None:
    body = {"messages": [{"role": "user", "content": "Between us"}], "store": False, "stream": False}
    answer = ann.call("POST", "/chat/completions", json=body)

    assert answer["choices"][0]["message"]["content"] == "You said: Between us"
    assert ann.listed("archived=any") == []
    ann.call("GET", f"/v1/chat/completions/{answer['id']}", 404)
    assert Message.objects.count() == 0
    assert Completion.objects.get().cost is not None
