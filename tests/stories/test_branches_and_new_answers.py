"""What a frontend does with a stored conversation: have an answer made anew, begin anew, go on."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from conversations.models import Completion, Conversation, Message
from engines.base import Unavailable
from engines.events import Event, Finish
from engines.requests import EngineRequest
from engines.scripted.engine import ScriptedEngine
from tests.support.people import Person
from tests.support.running_server import PATHS, Server


class Failing(ScriptedEngine):
    async def stream(self, request: EngineRequest) -> AsyncGenerator[Event, None]:
        if request.n:
            raise Unavailable("The model is away.")
        yield Finish("stop")


@contextmanager
def failing(server: Server) -> Iterator[None]:
    spec = server.service.registry.find("scripted")
    assert spec is not None
    with server.with_model(spec, Failing()):
        yield


class Chat:
    """A conversation that a frontend holds by its id, in one of the dialects."""

    def __init__(self, client: httpx2.Client, dialect: str = "native") -> None:
        self.client = client
        self.dialect = dialect
        self.id = ""

    def send(self, *texts: str, **context: Any) -> httpx2.Response:
        if self.id:
            context = {"conversation_id": self.id, **context}
        body = {
            "model": "scripted",
            "messages": [{"role": "user", "content": text} for text in texts],
            "context": context,
            "stream": False,
        }
        response = self.client.post(PATHS[self.dialect], json=body)
        self.id = self.id or response.headers.get("x-conversation-id", "")
        return response

    def say(self, *texts: str, **context: Any) -> str:
        """Send a message; return the id of its answer's message."""
        response = self.send(*texts, **context)
        assert response.status_code == 200, response.text
        return str(response.headers["x-message-id"])

    def refusal(self, *texts: str, **context: Any) -> dict[str, Any]:
        before = Message.objects.count(), Completion.objects.count()
        response = self.send(*texts, **context)
        assert (Message.objects.count(), Completion.objects.count()) == before
        error: dict[str, Any] = response.json()["error"]
        return {"status": response.status_code, **error}

    @property
    def head(self) -> Message:
        head = Conversation.objects.get().head
        assert head is not None
        return head


def questions() -> list[str]:
    return [message.parts[0].text for message in Message.objects.filter(role="user").order_by("id")]


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_an_answer_made_anew_stands_beside_the_first_under_the_same_question(
    server: Server, alice: Person, dialect: str
) -> None:
    with server.client(alice) as client:
        chat = Chat(client, dialect)
        first = chat.say("Pick a number")
        second = chat.say(regenerate=first)
        assert chat.head.public_id == second != first
        third = chat.say(regenerate=second)
        chat.say("Why?")

    assert questions() == ["Pick a number", "Why?"]
    answers = Message.objects.get(parent=None).children.all()
    assert {answer.public_id for answer in answers} == {first, second, third}
    assert chat.head.parent is not None
    assert chat.head.parent.parent is not None
    assert chat.head.parent.parent.public_id == third
    assert Conversation.objects.get().message_count == Message.objects.count() == 6


def test_a_question_itself_can_be_named_to_be_answered_anew(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        chat = Chat(client)
        chat.say("Pick a number")
        question = Message.objects.get(role="user")
        chat.say(regenerate=question.public_id)

    assert question.children.count() == 2
    assert questions() == ["Pick a number"]


def test_a_new_answer_sees_what_came_before_its_question_and_nothing_after(
    server: Server, alice: Person
) -> None:
    with server.client(alice) as client:
        chat = Chat(client)
        first = chat.say("Pick a number")
        for word in ("later", "latest"):
            chat.say(word)
        chat.say(regenerate=first)

    counts = Completion.objects.order_by("id").values_list("prompt_tokens", flat=True)
    assert counts[0] == counts[3] < counts[1] < counts[2]


def test_a_new_answer_that_fails_leaves_the_old_one_shown(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        chat = Chat(client)
        first = chat.say("Pick a number")
        with failing(server):
            assert chat.send(regenerate=first).status_code == 503
        assert chat.head.public_id == first
        assert Conversation.objects.get().message_count == 2


def test_the_same_words_under_the_same_parent_are_not_stored_twice(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        chat = Chat(client)
        opening = chat.say("Hello")
        one = chat.say("Tell me of cats", parent_message_id=opening)
        two = chat.say("Tell me of cats", parent_message_id=opening)
        chat.say("Tell me of dogs", parent_message_id=opening)
        chat.say("Hello", parent_message_id=None)

    assert questions() == ["Hello", "Tell me of cats", "Tell me of dogs"]
    assert one != two


def test_null_as_the_parent_begins_a_new_root(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        chat = Chat(client)
        chat.say("Hello")
        before = chat.head
        other = chat.say("Goodbye", parent_message_id=None)

    assert Conversation.objects.count() == 1
    assert Message.objects.filter(parent=None).count() == 2
    assert chat.head.public_id == other
    assert before.children.count() == 0
    counts = Completion.objects.values_list("prompt_tokens", flat=True)
    assert len(set(counts)) == 1


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_no_messages_answer_the_question_that_is_still_open(
    server: Server, alice: Person, dialect: str
) -> None:
    with server.client(alice) as client:
        chat = Chat(client, dialect)
        with failing(server):
            assert chat.send("Hello").status_code == 503
        assert chat.head.role == "user"
        answer = chat.say()

    assert chat.head.public_id == answer
    assert Message.objects.filter(role="user").count() == 1


def test_a_question_asked_again_after_a_failure_is_the_same_question(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        chat = Chat(client)
        for _ in range(2):
            assert chat.send("[[error: 500]]").status_code >= 500
        assert chat.send("[[error: 500]]", "And this").status_code == 200

    assert questions() == ["[[error: 500]]", "And this"]
    assert Completion.objects.count() == 3
    assert Conversation.objects.get().message_count == 3


def test_where_there_is_nothing_to_answer_it_says_so(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        chat = Chat(client)
        assert chat.refusal()["code"] == "empty_array"
        answer = chat.say("Hello")
        refused = chat.refusal()
        assert (refused["status"], refused["param"]) == (400, "messages")
        assert "context.regenerate" in refused["message"]
        assert chat.refusal(parent_message_id=answer)["param"] == "messages"
        assert chat.refusal(parent_message_id=None)["param"] == "messages"
        assert chat.refusal("and this", regenerate=answer)["param"] == "messages"
        both = chat.refusal(regenerate=answer, parent_message_id=answer)
        assert (both["status"], both["param"]) == (400, "context.regenerate")
        lost = Chat(client).refusal("Hello", regenerate=answer)
        assert (lost["status"], lost["param"]) == (400, "context.conversation_id")


def test_messages_of_another_conversation_are_not_there(
    server: Server, alice: Person, charlie: Person
) -> None:
    with server.client(charlie) as client:
        theirs = Chat(client).say("A secret")
    with server.client(alice) as client:
        other = Chat(client).say("Elsewhere")
        chat = Chat(client)
        chat.say("Hello")
        for id in (theirs, other, "msg_" + "0" * 32, "nonsense", ""):
            refused = chat.refusal(regenerate=id)
            assert (refused["status"], refused["param"]) == (404, "context.regenerate")
            refused = chat.refusal("More", parent_message_id=id)
            assert (refused["status"], refused["param"]) == (404, "context.parent_message_id")


def test_what_lists_show_of_a_conversation_is_counted_along(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        chat = Chat(client)
        chat.say("Hello")
        last = chat.say("[[plain]] And now?")

    conversation = Conversation.objects.get()
    newest = Message.objects.order_by("-id")[0]
    assert newest.public_id == last
    assert conversation.preview == newest.parts[0].text[:200]
    assert conversation.message_count == 4
    assert conversation.last_completion == Completion.objects.order_by("-id")[0]
    assert conversation.cost == sum(row.cost or 0 for row in Completion.objects.all())
