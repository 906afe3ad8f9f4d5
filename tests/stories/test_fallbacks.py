"""When a model fails before its first event, its fallbacks answer instead."""

from collections.abc import AsyncGenerator, Iterator

import pytest
from msgspec.structs import replace

from conversations.models import Completion
from engines.base import EngineError, InvalidRequest, Unavailable
from engines.events import Event, TextDelta
from engines.requests import EngineRequest
from engines.scripted.engine import ScriptedEngine
from tests.support.people import Person
from tests.support.running_server import PATHS, Server, chat_body, events


class Failing(ScriptedEngine):
    """An engine that says `after`, if it is given, and then fails with `error`."""

    def __init__(self, error: Exception, after: str = "") -> None:
        super().__init__()
        self._error = error
        self._after = after

    async def stream(self, request: EngineRequest) -> AsyncGenerator[Event, None]:
        if self._after:
            yield TextDelta(self._after)
        raise self._error


@pytest.fixture
def fallback(server: Server) -> Iterator[None]:
    """Let a fallback of the default model fail."""
    down = server.service.registry.find("house/with-a-slash")
    assert down
    with server.with_model(down, Failing(Unavailable("It is down too."))):
        yield


def ask(server: Server, alice: Person, engine: Failing, stream: bool) -> object:
    """Ask the default model, which has this engine and falls back first to the one that is down."""
    spec = replace(server.service.registry.default, fallbacks=("house/with-a-slash", "text-only"))
    with server.with_model(spec, engine), server.client(alice) as client:
        response = client.post(PATHS["openai"], json=chat_body("Hello", stream=stream))
    return events(response) if stream and response.is_success else response.json()


@pytest.mark.usefixtures("fallback")
def test_the_first_working_fallback_answers(server: Server, alice: Person) -> None:
    engine = Failing(EngineError("Slow down.", status=429, retry_after=60))
    answer = ask(server, alice, engine, stream=False)
    assert isinstance(answer, dict)
    assert answer["model"] == "scripted"
    assert answer["choices"][0]["message"]["content"] == "You said: Hello"
    completion = Completion.objects.get()
    assert (completion.model, completion.served_by, completion.state) == (
        "scripted",
        "text-only",
        "completed",
    )


@pytest.mark.usefixtures("fallback")
@pytest.mark.parametrize("stream", [True, False])
def test_a_fault_of_our_own_lets_the_fallback_answer_too(
    server: Server, alice: Person, caplog: pytest.LogCaptureFixture, *, stream: bool
) -> None:
    answer = ask(server, alice, Failing(ValueError("Invalid header value")), stream=stream)

    completion = Completion.objects.get()
    assert (completion.served_by, completion.state) == ("text-only", "completed")
    assert "error" not in str(answer)
    assert "Invalid header value" in caplog.text


def test_a_fault_of_our_own_without_a_fallback_tells_nothing(server: Server, alice: Person) -> None:
    spec = replace(server.service.registry.default, fallbacks=())
    with server.with_model(spec, Failing(ValueError("sk-up-0123456789"))), server.client(alice) as client:
        response = client.post(PATHS["openai"], json=chat_body("Hello"))

    assert response.status_code == 500
    assert response.json()["error"]["message"] == "The engine failed."


@pytest.mark.usefixtures("fallback")
def test_after_the_first_event_no_fallback_is_tried(server: Server, alice: Person) -> None:
    engine = Failing(EngineError("It broke."), after="Well")
    received = ask(server, alice, engine, stream=True)
    assert isinstance(received, list)
    assert received[-1]["error"]["message"] == "It broke."
    assert Completion.objects.get().served_by == "scripted"


@pytest.mark.usefixtures("fallback")
def test_an_invalid_request_is_not_tried_with_a_fallback(server: Server, alice: Person) -> None:
    engine = Failing(InvalidRequest("Too long.", code="context_length_exceeded", param="messages"))
    answer = ask(server, alice, engine, stream=True)
    assert isinstance(answer, dict)
    assert answer["error"]["code"] == "context_length_exceeded"
    assert Completion.objects.get().served_by == "scripted"
