"""Answers that are being made are among the items of their conversation, with what is written of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import openai
import pytest

from conversations.models import Completion, Conversation, Message
from tests.support.item_requests import refusal, words_of
from tests.support.leaving import read_until
from tests.support.people import Person
from tests.support.running_server import PATHS, Server, chat_body, wait_until

BEGUN = "[[text: begun]] [[stall]]"


class Talk:
    """A conversation in which an answer is being made."""

    def __init__(self, client: httpx2.Client, conversation: str) -> None:
        self.client = client
        self.conversation = conversation
        self.completion = Completion.objects.latest("id").public_id
        self.address = f"/v1/conversations/{conversation}/items"

    def items(self, query: str = "order=asc") -> list[dict[str, Any]]:
        answer = self.client.get(f"{self.address}?{query}")
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()["data"]
        return rows

    def cancel(self) -> None:
        assert self.client.post(f"/v1/chat/completions/{self.completion}/cancel").status_code == 200


@contextmanager
def talking(
    server: Server, who: Person, text: str = BEGUN, until: str = "begun", **more: Any
) -> Iterator[Talk]:
    """Have something answered until these words came; the answer is cancelled at the end."""
    body = chat_body(text, stream=True, **more)
    with (
        server.client(who) as client,
        server.client(who) as other,
        client.stream("POST", PATHS["openai"], json=body) as stream,
    ):
        pieces = stream.iter_text()  # the stream is closed with it
        read_until(pieces, until)
        talk = Talk(other, stream.headers["x-conversation-id"])
        yield talk
        talk.cancel()


def test_an_answer_is_the_last_item_while_it_is_made_and_keeps_its_id(server: Server, alice: Person) -> None:
    with talking(server, alice) as talk:
        question, running = talk.items()
        newest = talk.items("limit=1")
        one = talk.client.get(f"{talk.address}/{running['id']}").json()
        by_pages = talk.items(f"order=asc&after={question['id']}")
        talk.cancel()
        _, ended = talk.items()

    assert words_of([question, running])[1] == "begun"
    assert (running["status"], running["state"], running["usage"]) == ("in_progress", "in_progress", None)
    assert (running["parent_id"], running["completion_id"]) == (question["id"], talk.completion)
    assert running["siblings"] == [running["id"]]
    assert newest == by_pages == [one] == [running]
    assert (ended["id"], ended["status"], ended["state"]) == (running["id"], "incomplete", "cancelled")
    assert words_of([ended]) == ["begun"]


def test_of_an_answer_that_another_process_makes_only_the_place_is_known(
    server: Server, alice: Person
) -> None:
    with talking(server, alice) as talk:
        pump = server.service.pumps.pop(Completion.objects.get().pk)
        [_, running] = talk.items()
        server.service.pumps[Completion.objects.get().pk] = pump

    assert (running["type"], running["content"], running["status"]) == ("message", [], "in_progress")


def test_reasoning_and_calls_are_items_as_they_come(server: Server, alice: Person) -> None:
    text = '[[reason: Hm]] [[text: begun]] [[tool: clock {"a": 1}]] [[stall]]'
    tool = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
    with talking(server, alice, text, until='\\"a\\"', tools=[tool]) as talk:
        _, *running = talk.items()

    assert [item["type"] for item in running] == ["reasoning", "message", "function_call"]
    assert {item["status"] for item in running} == {"in_progress"}
    assert len({item["message_id"] for item in running}) == 1


def test_an_answer_made_anew_is_a_sibling_that_is_shown_and_the_old_one_stays_reachable(
    server: Server, alice: Person
) -> None:
    with talking(server, alice) as talk:
        talk.cancel()
        question, old = talk.items()
        context = {"conversation_id": talk.conversation, "regenerate": old["id"]}
        with talking(server, alice, context=context, messages=[]) as again:
            shown = again.items()
            named = again.items(f"branch={shown[1]['id']}&order=asc")
            other = again.items(f"branch={old['id']}&order=asc")
            every = again.items("branch=all&order=asc")
            exact = again.items(f"leaf={question['id']}")
        after = talk.items()

    both = [old["id"], shown[1]["id"]]
    assert [row["id"] for row in shown] == [question["id"], both[1]]
    assert [row["siblings"] for row in every] == [[question["id"]], both, both]
    assert named == shown
    assert [row["id"] for row in other] == [question["id"], old["id"]]
    assert [row["id"] for row in every] == [question["id"], *both]
    assert [row["id"] for row in exact] == [question["id"]]
    assert [row["id"] for row in after] == [question["id"], both[1]]
    assert Message.objects.filter(role="user").count() == 1


def test_each_choice_is_a_sibling_and_the_first_is_shown(server: Server, alice: Person) -> None:
    with talking(server, alice, n=2) as talk:
        _, shown = talk.items()
        _, first, second = talk.items("branch=all&order=asc")
        [other] = talk.items(f"leaf={second['id']}&limit=1")

    assert shown == first
    assert first["siblings"] == second["siblings"] == [first["id"], second["id"]]
    assert other == second


def test_what_is_being_written_is_neither_deleted_nor_edited(server: Server, alice: Person) -> None:
    with talking(server, alice) as talk:
        question, running = talk.items()
        address = f"{talk.address}/{running['id']}"
        refused = [talk.client.delete(address), talk.client.post(address, json={"content": "x"})]
        talk.cancel()
        deleted = talk.client.delete(address)

    assert [refusal(answer) for answer in refused] == [(409, "in_progress", "item_id")] * 2
    assert deleted.status_code == 200
    assert deleted.json()["head_id"] == question["id"]


def test_items_can_be_added_meanwhile_and_then_stay_the_shown_branch(server: Server, alice: Person) -> None:
    with talking(server, alice) as talk:
        _, running = talk.items()
        added = talk.client.post(talk.address, json={"items": [{"role": "user", "content": "wait"}]}).json()
        [item] = added["data"]
        shown = talk.items()
        talk.cancel()
        after = talk.items()

    assert item["siblings"] == [running["id"], item["id"]]
    assert words_of(shown)[1:] == words_of(after)[1:] == ["wait"]


def test_a_question_can_be_deleted_while_it_is_answered(server: Server, alice: Person) -> None:
    with talking(server, alice) as talk:
        question, running = talk.items()
        assert talk.client.delete(f"{talk.address}/{question['id']}").status_code == 200
        [shown] = talk.items()
        talk.cancel()
        [after] = talk.items()

    assert (shown["id"], shown["parent_id"]) == (after["id"], after["parent_id"]) == (running["id"], None)
    assert Conversation.objects.get().title == ""


def test_a_cancelled_answer_of_which_nothing_came_is_no_item(server: Server, alice: Person) -> None:
    with server.client(alice) as client, server.client(alice) as other:
        client.timeout = 0.3
        with pytest.raises(httpx2.ReadTimeout):
            client.post(PATHS["native"], json=chat_body("[[wait: 30]]"))
        talk = Talk(other, Conversation.objects.get().public_id)
        _, running = talk.items()
        talk.cancel()
        left = talk.items()
        gone = other.get(f"{talk.address}/{running['id']}")

    assert len(left) == 1
    assert refusal(gone) == (404, "not_found", "item_id")


def test_openais_strict_client_reads_a_running_answer(server: Server, alice: Person) -> None:
    with (
        talking(server, alice) as talk,
        server.sdk(alice, _strict_response_validation=True) as sdk,
    ):
        running, _ = sdk.conversations.items.list(talk.conversation)
        assert running.type == "message"
        assert (running.status, running.content[0].text) == ("in_progress", "begun")  # type: ignore[union-attr]
        with pytest.raises(openai.ConflictError):
            sdk.conversations.items.delete(str(running.id), conversation_id=talk.conversation)
    wait_until(lambda: server.is_idle)


def test_a_history_that_was_added_as_items_is_continued_by_a_stateless_client(
    server: Server, alice: Person
) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    history = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?", "name": "ann"},
        {"role": "assistant", "content": "Wait.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
        {"role": "assistant", "content": "It rains."},
    ]
    items = [
        *history[:2],
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Wait."}]},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{ "a": 1 }'},
        {"type": "function_call_output", "call_id": "call_1", "output": "Rain"},
        history[4],
    ]
    with server.client(alice) as client:
        first = client.post(PATHS["openai"], json=chat_body("Hello"))
        conversation = first.headers["x-conversation-id"]
        added = client.post(
            f"/v1/conversations/{conversation}/items", json={"items": items, "parent_id": None}
        )
        assert added.status_code == 200, added.text
        body = {"model": "scripted", "messages": [*history, {"role": "user", "content": "And now?"}]}
        answer = client.post(PATHS["openai"], json=body)

    assert answer.headers["x-conversation-id"] == conversation
    assert Conversation.objects.count() == 1
    assert Message.objects.count() == 2 + len(history) + 2
