"""A stateless client's calls become conversations: what is stored, and that nothing is stored twice."""

from typing import Any

import httpx2

from conversations.models import Completion, Conversation, Message
from tests.support.people import Person
from tests.support.running_server import PATHS, Server, chat_body, events, text_of


def ask(client: httpx2.Client, messages: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Send a whole history and return the answer's message."""
    response = client.post(PATHS["openai"], json={"model": "scripted", "messages": messages, **more})
    assert response.status_code == 200, response.text
    message: dict[str, Any] = response.json()["choices"][0]["message"]
    return message


def test_a_history_sent_twenty_times_is_one_conversation_of_forty_messages(
    server: Server, alice: Person
) -> None:
    history: list[dict[str, Any]] = []
    with server.client(alice) as client:
        for turn in range(20):
            history.append({"role": "user", "content": f"Question {turn}"})
            history.append(ask(client, history))
    assert Conversation.objects.count() == 1
    assert Message.objects.count() == 40
    assert Message.objects.filter(parent=None).count() == 1
    assert Conversation.objects.get().head == Message.objects.order_by("-id").first()


def test_two_end_users_with_the_same_first_words_get_two_conversations(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for end_user in ("ann", "ben"):
            first = [{"role": "user", "content": "Hello"}]
            answer = ask(client, first, user=end_user)
            ask(client, [*first, answer, {"role": "user", "content": "And now?"}], user=end_user)
    assert Conversation.objects.count() == 2
    assert {c.end_user for c in Conversation.objects.all()} == {"ann", "ben"}
    assert [c.messages.count() for c in Conversation.objects.all()] == [4, 4]


def test_two_keys_of_a_workspace_do_not_continue_each_other(
    server: Server, alice: Person, bob: Person
) -> None:
    first = [{"role": "user", "content": "Hello"}]
    with server.client(alice) as client:
        answer = ask(client, first)
    with server.client(bob) as client:
        ask(client, [*first, answer, {"role": "user", "content": "More"}])
    assert Conversation.objects.count() == 2


def test_an_edited_question_becomes_a_branch_that_leaves_the_old_one_whole(
    server: Server, alice: Person
) -> None:
    with server.client(alice) as client:
        opening = [{"role": "user", "content": "Hello"}]
        opening.append(ask(client, opening))
        ask(client, [*opening, {"role": "user", "content": "Tell me of cats"}])
        edited = [*opening, {"role": "user", "content": "Tell me of dogs"}]
        edited.append(ask(client, edited))
        ask(client, [*edited, {"role": "user", "content": "More"}])
    conversation = Conversation.objects.get()
    fork = conversation.messages.get(role="assistant", parent__parent=None)
    assert sorted(child.parts[0].text for child in fork.children.all()) == [
        "Tell me of cats",
        "Tell me of dogs",
    ]
    assert conversation.messages.count() == 8


def test_an_edited_first_question_becomes_its_own_conversation(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        answer = ask(client, [{"role": "user", "content": "Hello"}])
        changed = [{"role": "user", "content": "Goodbye"}, answer, {"role": "user", "content": "More"}]
        ask(client, changed)
    assert sorted(c.messages.count() for c in Conversation.objects.all()) == [2, 4]


def test_asking_again_adds_an_answer_beside_the_first_and_no_question(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        opening = [{"role": "user", "content": "Hello"}]
        history = [*opening, ask(client, opening), {"role": "user", "content": "Why?"}]
        ask(client, history)
        ask(client, history)
    question = Message.objects.get(role="user", parent__isnull=False)
    assert question.children.count() == 2
    assert Completion.objects.filter(prompt=question).count() == 2


def test_json_spelling_does_not_matter_but_content_does(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        answer = ask(client, [{"role": "user", "content": "Hello"}])
        respelled: list[dict[str, Any]] = [
            {"role": "user", "content": [{"type": "text", "text": "Hello"}], "name": None},
            {
                "role": "assistant",
                "content": [{"type": "text", "text": answer["content"]}],
                "tool_calls": None,
            },
            {"role": "user", "content": "More"},
        ]
        ask(client, respelled)
    assert Conversation.objects.count() == 1
    assert Message.objects.count() == 4


def test_a_tool_round_trip_is_one_conversation(server: Server, alice: Person) -> None:
    tool = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
    history: list[dict[str, Any]] = [{"role": "user", "content": "What time is it?"}]
    with server.client(alice) as client:
        call = ask(client, history, tools=[tool], tool_choice="required")
        identity = call["tool_calls"][0]["id"]
        history += [call, {"role": "tool", "tool_call_id": identity, "content": "noon"}]
        history.append(ask(client, history, tools=[tool]))
    assert Conversation.objects.count() == 1
    roles = list(Message.objects.order_by("id").values_list("role", flat=True))
    assert roles == ["user", "assistant", "tool", "assistant"]


def test_the_native_client_sends_only_what_is_new(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        first = client.post(PATHS["native"], json={"messages": [{"role": "user", "content": "I am Ann"}]})
        conversation_id = first.headers["x-conversation-id"]
        second = client.post(
            PATHS["native"],
            json={
                "messages": [{"role": "user", "content": "[[history]]"}],
                "context": {"conversation_id": conversation_id},
            },
        )
    assert second.headers["x-conversation-id"] == conversation_id
    assert Conversation.objects.get().messages.count() == 4

    assert (
        Completion.objects.order_by("-id")[0].prompt_tokens
        > Completion.objects.order_by("id")[0].prompt_tokens
    )


def test_a_parent_message_branches_a_named_conversation(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        opened = client.post(PATHS["native"], json={"messages": [{"role": "user", "content": "One"}]})
        conversation_id = opened.headers["x-conversation-id"]
        root = Message.objects.get(parent=None)
        fork = root.children.get()
        for words in ("Two", "Another two"):
            context = {"conversation_id": conversation_id, "parent_message_id": fork.public_id}
            body = {"messages": [{"role": "user", "content": words}], "context": context}
            assert client.post(PATHS["native"], json=body).status_code == 200
    assert {child.parts[0].text for child in fork.children.all()} == {"Two", "Another two"}


def test_a_strangers_or_unknown_conversation_is_not_found(
    server: Server, alice: Person, charlie: Person
) -> None:
    with server.client(alice) as client:
        mine = client.post(PATHS["native"], json={"messages": [{"role": "user", "content": "Hi"}]})
    rows = Message.objects.count()
    with server.client(charlie) as client:
        for conversation_id in (mine.headers["x-conversation-id"], "conv_" + "0" * 32, "nonsense", ""):
            context = {"conversation_id": conversation_id}
            body = {"messages": [{"role": "user", "content": "Hi"}], "context": context}
            refused = client.post(PATHS["native"], json=body)
            assert refused.status_code == 404
            assert refused.json()["error"]["param"] == "context.conversation_id"
    assert Message.objects.count() == rows


def test_parallel_native_calls_come_back_as_one_turn(server: Server, alice: Person) -> None:
    tools = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        for name in ("clock", "weather")
    ]
    question = {"role": "user", "content": "[[tool: clock {}]] [[tool: weather {}]]"}
    with server.client(alice) as client:
        body = {"messages": [question], "tools": tools, "stream": False}
        answer = client.post(PATHS["native"], json=body).json()
        choices = answer["choices"]
        assert [choice["index"] for choice in choices] == [0, 1]
        calls = [{**choice["message"], "role": "assistant"} for choice in choices]
        results = [
            {"role": "tool", "content": "done", "tool_call_id": call["tool_calls"]["id"]} for call in calls
        ]
        client.post(PATHS["native"], json={"messages": [question, *calls, *results], "tools": tools})
    assert Conversation.objects.count() == 1
    assert Message.objects.filter(role="assistant").count() == 2


def test_n_answers_are_siblings_and_any_can_be_continued(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        question = {"role": "user", "content": "Pick a number"}
        answered = client.post(PATHS["openai"], json=chat_body("Pick a number", n=3)).json()
        assert [choice["index"] for choice in answered["choices"]] == [0, 1, 2]
        second = answered["choices"][1]["message"]
        ask(client, [question, second, {"role": "user", "content": "Why that one?"}])
    assert Conversation.objects.count() == 1
    assert Message.objects.filter(parent__parent=None, role="assistant").count() == 3


def test_streamed_text_is_the_stored_text(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for dialect in ("native", "openai"):
            chunks = events(client.post(PATHS[dialect], json=chat_body("Grüße, 世界 🌍!", stream=True)))
            stored = Message.objects.filter(role="assistant").order_by("-id")[0]
            assert stored.parts[0].text == text_of(chunks) != ""
