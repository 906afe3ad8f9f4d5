"""Somebody looks for what was said: in calls of both dialects, at once, and only what is still there."""

from typing import Any

import pytest

from conversations.models import SearchDocument, SearchMark
from tests.support.people import Person, token_for
from tests.support.running_server import PATHS, Server, chat_body, events, text_of
from tests.support.searching import Search, index_all, snippet_of


@pytest.mark.parametrize("dialect", PATHS)
def test_what_was_said_is_found_from_that_moment_on(server: Server, alice: Person, dialect: str) -> None:
    search = Search(alice)
    with server.client(alice) as client:
        answer = client.post(PATHS[dialect], json=chat_body("Where is Narvik?", stream=True))
    assert text_of(events(answer)) == "You said: Where is Narvik?"

    for settle_index in (lambda: None, index_all):
        settle_index()
        said, asked = search.hits("narvik")
        assert (said["role"], asked["role"]) == ("assistant", "user")
        assert said["id"] == answer.headers["x-message-id"]
        assert said["conversation"]["id"] == answer.headers["x-conversation-id"]
        assert snippet_of(said["matches"][0]) == "You said: Where is [Narvik]?"
        assert snippet_of(asked["matches"][0]) == "Where is [Narvik]?"


def test_a_life_of_a_conversation_as_the_search_sees_it(server: Server, alice: Person) -> None:
    search = Search(alice)
    with server.client(alice) as client:

        def call(method: str, path: str, **options: Any) -> dict[str, Any]:
            response = client.request(method, path, **options)
            assert response.status_code == 200, response.text
            body: dict[str, Any] = response.json()
            return body

        first = client.post("/chat/completions", json=chat_body("Pack the tent.", stream=False))
        conversation = f"/v1/conversations/{first.headers['x-conversation-id']}"
        index_all()

        call("PATCH", conversation, json={"title": "Camping in May"})
        assert [hit["matches"][0]["field"] for hit in search.hits("camping")] == ["title"]

        [question] = call("GET", f"{conversation}/items?order=asc&limit=1")["data"]
        edited = {"content": "Pack the canoe."}
        call("POST", f"{conversation}/items/{question['id']}", json=edited)
        assert search.texts("canoe") == ["Pack the [canoe]."]
        assert len(search.hits("tent")) == 2  # the other branch is there

        call("DELETE", f"{conversation}/items/{question['id']}")
        assert search.texts("tent") == ["You said: Pack the [tent]."]

        call("DELETE", conversation)
        assert search.hits("canoe") == search.hits("camping") == []
        assert len(search.hits("canoe", deleted="true")) == 1
        call("POST", f"{conversation}/restore")
        assert len(search.hits("canoe")) == 1

        call("DELETE", f"{conversation}?permanently=true")
        assert search.hits("canoe") == search.hits("canoe", deleted="true") == []
    index_all()
    assert not SearchMark.objects.exists()
    assert not SearchDocument.objects.exists()


def test_what_is_not_stored_is_marked_and_found_nowhere(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for stream in (True, False):
            answer = client.post("/v1/chat/completions", json=chat_body("Narvik", store=False, stream=stream))
            assert answer.status_code == 200
    server.until_idle()

    assert not SearchMark.objects.exists()
    assert Search(alice).hits("narvik") == []


def test_an_end_users_page_finds_their_own(server: Server, alice: Person) -> None:
    tokens = {name: token_for(alice, name) for name in ("ann", "ben")}
    with server.client(alice) as client:
        for name, token in tokens.items():
            said = client.post(
                "/chat/completions",
                json=chat_body(f"I am {name} in Narvik.", stream=False),
                headers={"Authorization": f"Bearer {token}"},
            )
            assert said.status_code == 200, said.text
    index_all()

    for name, token in tokens.items():
        assert {hit["conversation"]["user"] for hit in Search(token).hits("narvik")} == {name}
    assert len(Search(alice).hits("narvik")) == 4
    assert len(Search(alice).hits("narvik", user="ann")) == 2
