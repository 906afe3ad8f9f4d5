"""Titles that a model makes: once, in bounds, billed to nobody, and never in place of a client's own."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from kombu.exceptions import OperationalError

from billing.models import Charge
from conversations.models import Completion, Conversation, Message
from conversations.tasks import CONCURRENT_TITLES, TitleRequests, TitleWorker
from conversations.titles import MAX_INPUT, Titler, ask, clean_title, find_titler, make_title, overdue_titles
from core.ids import first_id_at, new_id
from engines.events import Event, TextDelta
from engines.messages import TextPart
from engines.model_registry import Registry
from engines.model_spec import LOCAL_DEFAULT, ModelSpec
from engines.requests import EngineRequest
from engines.served_models import current_registry, engine_loop, set_engine_loop
from tests.support.history_rows import (
    NOON,
    add_message,
    completion_of,
    conversation_of,
    create_exchange,
    prompt_of,
)
from tests.support.people import Person
from tests.support.running_server import Server, chat_body, wait_until

WORDS = "Where to in Oslo?"


class Model:
    """What stands for the model: it notes what it is asked, and something may happen meanwhile."""

    def __init__(self, title: str = "A weekend in Oslo", meanwhile: Any = None) -> None:
        self.title, self.meanwhile = title, meanwhile
        self.asked: list[str] = []

    def __call__(self, titler: Titler, words: str) -> str:
        self.asked.append(words)
        if self.meanwhile:
            self.meanwhile()
        return self.title


@pytest.fixture(autouse=True)
def title_model(settings: Any) -> None:
    settings.CHATAPI_TITLE_MODEL = "scripted"


def answered(person: Person, words: str = WORDS, **columns: Any) -> Conversation:
    """Store a conversation with its first answer, as calls leave it."""
    conversation = create_exchange(person, words).stored_conversation
    Conversation.objects.filter(pk=conversation.pk).update(
        **{"preview": "Take the tram.", "created_at": timezone.now(), **columns}
    )
    return conversation


def title_of(conversation: Conversation) -> tuple[str, str]:
    title, by = Conversation.objects.values_list("title", "titled_by").get(pk=conversation.pk)
    return title, by


# --- once -----------------------------------------------------------------------------------------


def test_a_model_is_asked_once(alice: Person) -> None:
    conversation, model = answered(alice), Model("“**A weekend** in Oslo”\nOr so")
    before = Conversation.objects.get(pk=conversation.pk).updated_at

    assert [make_title(conversation.pk, model) for _ in range(3)] == [True, False, False]

    assert model.asked == [f"User: {WORDS}\n\nAssistant: Take the tram."]
    assert title_of(conversation) == ("A weekend in Oslo", "model")
    assert Conversation.objects.get(pk=conversation.pk).updated_at > before


@pytest.mark.parametrize("title", ["", "   ", "\n**\n", '""'])
def test_a_failure_leaves_the_first_words_and_is_not_tried_again(title: str, alice: Person) -> None:
    conversation, model = answered(alice), Model(title)

    assert [make_title(conversation.pk, model) for _ in range(2)] == [False, False]
    assert len(model.asked) == 1
    assert title_of(conversation)[0] == WORDS
    assert overdue_titles(timezone.now() + timedelta(minutes=3)) == []


@pytest.mark.parametrize(
    "columns",
    [
        {"titled_by": "client", "title": "Mine"},
        {"titled_by": "first_words", "title": ""},  # a client took its title away
        {"deleted_at": NOON},
        {"last_completion": None},
    ],
    ids=str,
)
def test_what_has_or_wants_no_title_gets_none(columns: dict[str, Any], alice: Person) -> None:
    conversation, model = answered(alice, **columns), Model()
    before = title_of(conversation)

    assert make_title(conversation.pk, model) is False
    assert (model.asked, title_of(conversation)) == ([], before)


@pytest.mark.parametrize("state", ["in_progress", "cancelled", "failed", "interrupted"])
def test_there_is_none_without_a_whole_answer(state: str, alice: Person) -> None:
    conversation = answered(alice)
    Completion.objects.update(state=state)

    assert make_title(conversation.pk, Model()) is False


def test_there_is_none_after_the_second_answer_nor_for_what_is_old(alice: Person) -> None:
    twice = answered(alice)
    completion_of(alice, prompt_of(Completion.objects.get()))
    old = Conversation.objects.create(
        pk=UUID(int=first_id_at(timezone.now() - timedelta(hours=25)).int + 7),
        workspace=alice.workspace,
        title=WORDS,
    )
    completion_of(alice, add_message(old, "user", WORDS))

    assert make_title(twice.pk, Model()) is make_title(old.pk, Model()) is False
    assert make_title(new_id(), Model()) is False


def test_without_a_model_there_are_only_first_words(alice: Person, settings: Any) -> None:
    for model in (None, "gone from the models file"):
        settings.CHATAPI_TITLE_MODEL = model
        assert make_title(answered(alice).pk, Model()) is False
        assert overdue_titles(timezone.now() + timedelta(minutes=3)) == []


def test_what_a_client_does_meanwhile_is_kept(alice: Person, client: Client) -> None:
    def send(path: str, method: str, **body: Any) -> None:
        getattr(client, method)(path, body, content_type="application/json", headers=alice.headers)

    for method, body, expected in (
        ("post", {"title": "Mine"}, ("Mine", "client")),
        ("post", {"title": None}, ("", "first_words")),
        ("delete", {}, (WORDS, "model")),
    ):
        conversation = answered(alice)
        path = f"/v1/conversations/{conversation.public_id}"
        assert make_title(conversation.pk, Model(meanwhile=partial(send, path, method, **body))) is False
        assert title_of(conversation) == expected


# --- in bounds ------------------------------------------------------------------------------------


def test_a_workspace_gets_so_many_a_day(alice: Person, charlie: Person, settings: Any) -> None:
    settings.CHATAPI_TITLES_PER_DAY = 2
    conversations, model = [answered(alice) for _ in range(4)], Model()

    made = [make_title(conversation.pk, model) for conversation in conversations]

    assert made == [True, True, False, False]
    assert len(model.asked) == 2
    assert make_title(answered(charlie).pk, Model()) is True
    settings.CHATAPI_TITLES_PER_DAY = 0
    assert make_title(answered(charlie).pk, Model()) is False


def test_what_clients_change_or_delete_gives_no_title_back(
    alice: Person, client: Client, settings: Any
) -> None:
    settings.CHATAPI_TITLES_PER_DAY = 3
    model, changed, emptied, deleted = Model(), answered(alice), answered(alice), answered(alice)
    for conversation in (changed, emptied, deleted):
        assert make_title(conversation.pk, model) is True

    path = f"/v1/conversations/{changed.public_id}"
    client.patch(path, {"title": "Mine"}, content_type="application/json", headers=alice.headers)
    Completion.objects.filter(conversation=emptied).update(conversation=None)
    client.delete(f"/v1/conversations/{deleted.public_id}?permanently=true", headers=alice.headers)

    assert not Conversation.objects.filter(pk=deleted.pk).exists()
    assert make_title(answered(alice).pk, model) is False
    assert len(model.asked) == 3


@pytest.mark.django_db(transaction=True)
def test_titles_asked_for_at_once_are_all_counted(alice: Person, settings: Any) -> None:
    settings.CHATAPI_TITLES_PER_DAY = 2
    conversations, made = [answered(alice) for _ in range(5)], []

    def make(id: UUID) -> None:
        try:
            made.append(make_title(id, Model()))
        finally:
            connection.close()

    threads = [threading.Thread(target=make, args=(row.pk,)) for row in conversations]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(made) == [False, False, False, True, True]


def test_little_of_a_long_conversation_is_sent(alice: Person) -> None:
    conversation, model = answered(alice, preview="p" * 200), Model()
    Message.objects.filter(role="user").update(parts=(TextPart("word " * 100_000),))

    make_title(conversation.pk, model)

    request = asked_of_an_engine(model.asked[0])
    assert sum(len(message.text) for message in request.messages) <= MAX_INPUT
    assert request.params == {"max_completion_tokens": 24}
    assert request.tools == ()


def asked_of_an_engine(words: str) -> EngineRequest:
    """Ask an engine in the loop of its process, as the embedded worker does."""
    engine, spec = RecordingEngine(), ModelSpec(id="titles", engine="scripted")
    registry = Registry((spec,), data_dir=None)  # type: ignore[arg-type]
    registry.add(spec, engine)
    before, loop = engine_loop(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    set_engine_loop(loop)
    try:
        assert len(ask(Titler(spec, registry), words)) < 1000
    finally:
        set_engine_loop(before)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    assert engine.loop is loop
    assert engine.is_closed
    return engine.requests[0]


class RecordingEngine:
    """An engine that writes without end."""

    unsupported: ClassVar[frozenset[str]] = frozenset()
    unready_reason = None

    def __init__(self) -> None:
        self.requests: list[EngineRequest] = []
        self.loop: asyncio.AbstractEventLoop | None = None
        self.is_closed = False

    async def start(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def stream(self, request: EngineRequest) -> AsyncGenerator[Event, None]:
        self.requests.append(request)
        self.loop = asyncio.get_running_loop()
        try:
            while True:
                yield TextDelta("more and ")
        finally:
            self.is_closed = True


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("A weekend in Oslo", "A weekend in Oslo"),
        ('  "A weekend in Oslo."  ', "A weekend in Oslo"),
        ("\n\n## **A _weekend_ in `Oslo`**\nmore", "A weekend in Oslo"),
        ("- Title: «A weekend in Oslo»", "A weekend in Oslo"),
        ("TITLE: snake_case in C++", "snake_case in C++"),
        ("2 * 3 is 6", "2 * 3 is 6"),
        ("\u202eA\x00 \u200bweekend\tin  Oslo\x1b[0m", "A weekend in Oslo [0m"),
        ("word " * 30, "word " * 15 + "word"),
        ("x" * 500, "x" * 80),
        ("週末のオスロ。", "週末のオスロ。"),
        ("", ""),
        ("***", ""),
        ('""', ""),
        ("\n \n", ""),
    ],
)
def test_what_a_model_writes_is_cleaned(written: str, title: str) -> None:
    assert clean_title(written) == title


def test_a_worker_elsewhere_asks_with_an_engine_of_its_own_but_starts_no_local_model(settings: Any) -> None:
    before = engine_loop()
    set_engine_loop(None)
    try:
        titler = find_titler()
        assert titler
        assert ask(titler, "User: [[text: Well]] [[chunks: 2]]").startswith("Well")
        assert ask(titler, "User: [[error: 500]]") == ""
        settings.CHATAPI_TITLE_MODEL = LOCAL_DEFAULT.id
        current_registry().add(LOCAL_DEFAULT)
        assert find_titler() is None
    finally:
        set_engine_loop(before)
        asyncio.run(current_registry().remove(LOCAL_DEFAULT.id))


def test_few_are_made_at_once_and_all_in_the_end() -> None:
    ids, made = [new_id() for _ in range(10)], []
    gate, most, running = threading.Event(), [0], [0]
    lock = threading.Lock()

    def make(id: UUID) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        gate.wait(10)
        with lock:
            running[0] -= 1
            made.append(id)

    worker = TitleWorker(make, lambda _: None)
    threads = [threading.Thread(target=worker.work, args=(id,)) for id in ids]
    for thread in threads:
        thread.start()
    wait_until(lambda: sum(thread.is_alive() for thread in threads) == CONCURRENT_TITLES)
    gate.set()
    for thread in threads:
        thread.join(10)

    assert most[0] == CONCURRENT_TITLES
    assert sorted(made) == sorted(ids)


def test_a_title_that_fails_keeps_no_place() -> None:
    def fail(id: UUID) -> None:
        raise ValueError(id)

    worker = TitleWorker(fail, lambda _: None)
    for _ in range(2 * CONCURRENT_TITLES):
        with pytest.raises(ValueError, match="-"):
            worker.work(new_id())


# --- found again ----------------------------------------------------------------------------------


def test_the_sweep_finds_what_nobody_was_asked_for(alice: Person) -> None:
    conversation, _ = answered(alice), answered(alice, titled_by="client")
    conversation_of(alice, title=WORDS)
    now = timezone.now()

    assert overdue_titles(now) == []
    assert overdue_titles(now + timedelta(minutes=3)) == [conversation.pk]
    assert overdue_titles(now + timedelta(hours=4)) == []
    make_title(conversation.pk, Model())
    assert overdue_titles(now + timedelta(minutes=3)) == []


def test_a_broker_that_is_away_is_left_alone_for_a_while() -> None:
    tried: list[UUID] = []

    def fail(id: UUID) -> None:
        tried.append(id)
        raise OperationalError

    request = TitleRequests(fail)
    for _ in range(3):
        request(new_id())

    assert len(tried) == 1


def test_ids_begin_with_their_time() -> None:
    before = datetime.now(UTC).replace(microsecond=0)

    assert first_id_at(before) <= new_id() < first_id_at(datetime.now(UTC) + timedelta(milliseconds=2))


# --- by calls -------------------------------------------------------------------------------------


@pytest.fixture
def says(server: Server, alice: Person) -> Iterator[Any]:
    with server.client(alice) as client:

        def say(words: str, **more: Any) -> Any:
            answer = client.post("/v1/chat/completions", json=chat_body(words, **more))
            answer.raise_for_status()
            return answer.headers.get("x-conversation-id")

        yield say


def test_the_first_answer_gives_a_title_and_nobody_pays(says: Any) -> None:
    says("Where to?")
    wait_until(lambda: Conversation.objects.filter(titled_by="model").exists())
    wait_until(lambda: Conversation.objects.get().title != "Where to?")

    assert Conversation.objects.get().title == "You said: User: Where to?"
    assert Charge.objects.count() == Completion.objects.count() == 1


def test_what_is_not_stored_gets_none(says: Any) -> None:
    assert says("Between us", store=False) is None
    assert not Conversation.objects.exists()
