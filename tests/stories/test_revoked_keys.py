"""What a key started ends within a second once the key is no longer valid.

The service learns it from the database, so it makes no difference which process revokes the key: here it is
the test.
"""

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.asgi_auth import CACHE_SECONDS
from accounts.deletion import delete_workspace
from accounts.keys.services import revoke_api_key
from accounts.models import ApiKey, Workspace
from accounts.revocations import CHECK_SECONDS
from accounts.roles import Role
from billing.models import Charge
from billing.prices import add_price
from billing.tariffs import rates_of
from conversations.models import Completion
from media.models import Asset, File
from media.processing.sandbox import pools
from media.processing.speech.synthesis.job_types import SpokenPiece
from tests.support.fake_pool import FakePool
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.hooked_storage import hook_storage
from tests.support.leaving import read_until
from tests.support.media_requests import upload_file
from tests.support.people import Person, person, set_role
from tests.support.pictures import encode_picture, quarters
from tests.support.priced_usage import add_credit, assert_ledger_adds_up, wallet_of
from tests.support.running_server import PATHS, Server, chat_body, serving, wait_until
from tests.support.sandbox_jobs import Nap, nap
from tests.support.sounds import wav

PATIENCE = 5.0
"""Seconds until what has lost its key must have ended, on a machine that other tests keep busy too."""
STALLING = "[[text: begun]] [[stall]]"
SPEECH = {"model": "tts-1", "voice": "espeak-en-us", "input": "Hello there."}


def key_of(who: Person) -> ApiKey:
    return who.user.api_keys.get(workspace=who.workspace)


def expire(who: Person) -> None:
    ApiKey.objects.filter(id=key_of(who).id).update(expires_at=timezone.now() - timedelta(milliseconds=1))


def deactivate(who: Person) -> None:
    who.user.is_active = False
    who.user.save()


LOSSES: dict[str, Callable[[Person], object]] = {
    "revoked": lambda who: revoke_api_key(key_of(who)),
    "expired": expire,
    "deleted": lambda who: key_of(who).delete(),
    "user deactivated": deactivate,
    "user removed": lambda who: who.user.memberships.filter(workspace=who.workspace).delete(),
    "workspace deleted": lambda who: delete_workspace(who.workspace),
}


def test_a_machine_with_time_to_spare_needs_less_than_a_second() -> None:
    assert CHECK_SECONDS + CACHE_SECONDS < 1


@contextmanager
def ends_soon() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < PATIENCE


@contextmanager
def begun_answer(
    client: httpx2.Client, dialect: str, model: str = "scripted", **headers: str
) -> Iterator[Iterator[str]]:
    """An answer whose first words were read: the rest of it."""
    body = chat_body(STALLING, stream=True) | {"model": model}
    with client.stream("POST", PATHS[dialect], json=body, headers=headers) as response:
        chunks = response.iter_text()
        read_until(chunks, "begun")
        yield chunks


@contextmanager
def in_background(server: Server, who: Person, path: str, **request: Any) -> Iterator[list[httpx2.Response]]:
    """A request in a thread, which is answered soon after the block's end."""
    answers: list[httpx2.Response] = []

    def ask() -> None:
        with server.client(who) as client:
            answers.append(client.post(path, **request))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield answers
    finally:
        asking.join(PATIENCE)
        assert not asking.is_alive()


def assert_refused(answers: list[httpx2.Response]) -> None:
    [refused] = answers
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")


def last_event(rest: str) -> Any:
    return json.loads(rest.strip().rpartition("\n")[2].removeprefix("data: "))


@pytest.mark.parametrize("dialect", PATHS)
def test_an_answer_ends_however_its_key_is_lost(server: Server, dialect: str) -> None:
    with ExitStack() as stack:
        people = {loss: person(f"{loss.replace(' ', '-')}@example.com") for loss in LOSSES}
        clients = {loss: stack.enter_context(server.client(who)) for loss, who in people.items()}
        answers = {loss: stack.enter_context(begun_answer(clients[loss], dialect)) for loss in LOSSES}
        for loss, lose in LOSSES.items():
            lose(people[loss])
        with ends_soon():
            rests = ["".join(answer) for answer in answers.values()]
        assert [last_event(rest)["error"]["code"] for rest in rests] == ["invalid_api_key"] * len(LOSSES)
        assert not any("[DONE]" in rest for rest in rests)
        wait_until(lambda: server.is_idle, PATIENCE)
        for client in clients.values():
            assert client.post(PATHS[dialect], json=chat_body("Hi")).status_code == 401


def test_an_answer_ends_when_who_asked_becomes_a_reviewer(server: Server, alice: Person, bob: Person) -> None:
    with server.client(bob) as client, begun_answer(client, "native") as answer:
        set_role(bob, Role.REVIEWER)
        with ends_soon():
            assert last_event("".join(answer))["error"]["code"] == "invalid_api_key"
        wait_until(lambda: client.post(PATHS["native"], json=chat_body("Hi")).status_code == 403)
    wait_until(lambda: server.is_idle, PATIENCE)


def test_what_was_answered_is_stored_and_billed_as_if_it_had_been_cancelled(
    server: Server, alice: Person, bob: Person
) -> None:
    add_credit(bob, 10**9)
    with server.client(bob) as client, begun_answer(client, "native", model="priced") as rest:
        revoke_api_key(key_of(bob))
        assert last_event("".join(rest))["error"]["code"] == "invalid_api_key"
    wait_until(lambda: server.is_idle, PATIENCE)
    completion, charge = Completion.objects.get(), Charge.objects.get()
    assert (completion.state, charge.end) == ("cancelled", "cancelled")
    assert completion.answers.get().parts[0].text == "begun"
    assert charge.cost
    assert wallet_of(bob).held == charge.cost  # until it is posted
    assert_ledger_adds_up()


def test_an_answer_that_nobody_reads_ends_too(server: Server, alice: Person) -> None:
    with server.client(alice) as client, begun_answer(client, "native"):
        pass
    assert not server.is_idle
    with ends_soon():
        revoke_api_key(key_of(alice))
        server.until_idle()


def test_an_answer_ends_with_its_key_though_writers_wait_for_a_lock(
    server: Server, alice: Person, bob: Person
) -> None:
    with server.client(bob) as client, begun_answer(client, "openai") as rest, ExitStack() as stack:
        ApiKey.objects.filter(id=key_of(bob).id).update(expires_at=timezone.now() + timedelta(seconds=1))
        with transaction.atomic():
            Workspace.objects.filter(id=alice.workspace.id).update(name="held")  # SQLite lets one write
            hello = {"json": chat_body("Hello")}
            answer = stack.enter_context(in_background(server, alice, PATHS["openai"], **hello))
            assert last_event("".join(rest))["error"]["code"] == "invalid_api_key"
        wait_until(lambda: bool(answer))
    assert answer[0].status_code == 200


@pytest.mark.parametrize(
    ("text", "stream"), [("[[wait: 30]]", True), ("[[wait: 30]]", False), (STALLING, False)]
)
def test_an_answer_that_has_not_begun_is_refused_with_its_true_status(
    server: Server, alice: Person, text: str, stream: bool
) -> None:
    with in_background(server, alice, PATHS["openai"], json=chat_body(text, stream=stream)) as answer:
        wait_until(lambda: not server.is_idle)
        revoke_api_key(key_of(alice))
    assert_refused(answer)


def test_only_what_the_key_started_or_reads_ends(server: Server, alice: Person, bob: Person) -> None:
    """Bob repeats Alice's request and reads her answer along. He loses it, but it goes on."""
    with (
        server.client(alice) as hers,
        server.client(bob) as his,
        begun_answer(hers, "native", **{"Idempotency-Key": "same"}) as first,
        begun_answer(his, "native", **{"Idempotency-Key": "same"}) as second,
    ):
        pump = server.only_pump()
        with ends_soon():
            revoke_api_key(key_of(bob))
            assert last_event("".join(second))["error"]["code"] == "invalid_api_key"
        assert server.only_pump() is pump
        server.loop.call_soon_threadsafe(pump.cancel)
        assert last_event("".join(first))["error"]["code"] == "cancelled"


# --- browser sessions -------------------------------------------------------------------------------


def sign_out(who: Person, django_client: Client) -> None:
    django_client.logout()


def set_password(who: Person, django_client: Client) -> None:
    who.user.set_password("another one")
    who.user.save()


@pytest.mark.parametrize("lose", [sign_out, set_password, lambda who, _: deactivate(who)])
def test_an_answer_ends_with_its_browser_session(
    server: Server, alice: Person, lose: Callable[[Person, Client], None]
) -> None:
    django_client = Client()
    django_client.force_login(alice.user)
    with server.client() as browser:
        browser.cookies.set(settings.SESSION_COOKIE_NAME, django_client.cookies["sessionid"].value)
        browser.cookies.set(settings.CSRF_COOKIE_NAME, "t" * 32)
        with begun_answer(browser, "native", **{"x-csrftoken": "t" * 32}) as rest:
            with ends_soon():
                lose(alice, django_client)
                assert last_event("".join(rest))["error"]["code"] == "session_ended"
            wait_until(lambda: server.is_idle, PATIENCE)


# --- sounds and files -------------------------------------------------------------------------------


async def endless_speech(*args: Any, **more: Any) -> AsyncGenerator[SpokenPiece, None]:
    while True:
        yield SpokenPiece(b"\0" * 48_000, "Hello", milliseconds=1000)
        await asyncio.sleep(0.01)


def test_speech_ends_with_its_key_and_is_billed_as_far_as_it_came(
    transactional_db: None, alice: Person, bob: Person
) -> None:
    add_price("speech", {0: rates_of({"characters": 15})})
    add_credit(bob, 10**9)
    pool = FakePool(endless_speech)
    with serving(synthesis=pool) as server, server.client(bob) as client:
        with client.stream("POST", "/v1/audio/speech", json=SPEECH | {"stream_format": "sse"}) as response:
            chunks = response.iter_text()
            next(chunks)
            with ends_soon():
                revoke_api_key(key_of(bob))
                assert last_event("".join(chunks))["error"]["code"] == "invalid_api_key"
        assert pool.state == "closed early"
        assert_refused([client.post("/v1/audio/speech", json=SPEECH)])
        wait_until(lambda: Charge.objects.exclude(state="held").exists())
    charge = Charge.objects.get()
    assert (charge.end, charge.characters) == ("cancelled", len(SPEECH["input"]))
    assert wallet_of(bob).held == charge.cost
    assert_ledger_adds_up()


def test_speech_that_nobody_reads_ends_too(transactional_db: None, alice: Person) -> None:
    pool = FakePool(endless_speech)
    with (
        serving(synthesis=pool) as server,
        server.client(alice) as client,
        client.stream("POST", "/v1/audio/speech", json=SPEECH | {"response_format": "pcm"}),
    ):
        wait_until(lambda: pool.state == "open")
        with ends_soon():
            revoke_api_key(key_of(alice))
            wait_until(lambda: pool.state == "closed early")


@pytest.mark.parametrize("stream", ["true", "false"])
def test_a_transcription_ends_with_its_key(
    server: Server, alice: Person, recognizer: FakeRecognizer, stream: str
) -> None:
    recognizer.wait()
    form: Any = {"files": {"file": ("a.wav", wav(bytes(32_000)))}, "data": {"stream": stream}}
    with in_background(server, alice, "/v1/audio/transcriptions", **form) as answer:
        wait_until(lambda: recognizer.state == "open")
        revoke_api_key(key_of(alice))
        wait_until(lambda: recognizer.state == "closed early")
    assert_refused(answer)


def _read_slowly(pieces: Iterator[bytes]) -> None:
    for _ in pieces:
        time.sleep(0.005)


def test_a_download_ends_with_its_key(server: Server, alice: Person) -> None:
    file = upload_file(server, alice, b"x" * 2**25)
    with server.client(alice) as client, client.stream("GET", f"/v1/files/{file}/content") as response:
        pieces = response.iter_raw()
        next(pieces)
        revoke_api_key(key_of(alice))
        with pytest.raises(httpx2.RemoteProtocolError):
            _read_slowly(pieces)


def upload_form(data: bytes) -> dict[str, Any]:
    return {"files": {"file": ("a", data)}, "data": {"purpose": "user_data"}}


def test_an_upload_that_waits_for_its_inspection_ends_with_its_key(
    server: Server, alice: Person, settings: Settings, tmp_path: Path
) -> None:
    diary = tmp_path / "diary"
    diary.touch()
    naps = [
        asyncio.run_coroutine_threadsafe(pools.files.run(nap, Nap(str(diary), 4), seconds=60), server.loop)
        for _ in range(settings.CHATAPI_FILE_JOBS)
    ]
    wait_until(lambda: len(diary.read_text().splitlines()) == len(naps))
    with in_background(server, alice, "/v1/files", **upload_form(encode_picture(quarters()))) as answer:
        time.sleep(0.3)  # by then it waits
        revoke_api_key(key_of(alice))
    assert_refused(answer)
    assert not File.objects.exists()
    for one in naps:
        one.result(timeout=60)


def test_an_upload_whose_bytes_are_being_stored_ends_with_its_key(
    server: Server, alice: Person, settings: Settings, tmp_path: Path
) -> None:
    is_storing, may_go_on = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        is_storing.set()
        may_go_on.wait(60)

    hook_storage(settings, tmp_path, on_save=hold)
    with in_background(server, alice, "/v1/files", **upload_form(b"Hello")) as answer:
        assert is_storing.wait(60)
        revoke_api_key(key_of(alice))
        may_go_on.set()
    assert_refused(answer)
    assert not File.objects.exists()
    assert not Asset.objects.exists()


def test_a_key_that_was_used_just_now_is_refused_within_a_second(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        file = upload_file(server, alice, b"Hello")
        assert client.get(f"/v1/files/{file}/content").status_code == 200
        with ends_soon():
            revoke_api_key(key_of(alice))
            wait_until(lambda: client.get(f"/v1/files/{file}/content").status_code == 401)
