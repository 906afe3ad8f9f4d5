"""What the transcripts cost that are made of sounds sent in: once for the same bytes in a workspace."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from msgspec.structs import replace
from pytest_django import Settings

from accounts.models import ApiKey
from billing import ledger
from billing.charge_posting import post_settled
from billing.models import Budget, Charge, Price, Rate, Wallet
from billing.prices import add_price
from billing.tariffs import rates_of
from billing.triggers import without_triggers
from conversations.models import Conversation
from media.cleanup import delete_unused
from media.models import Asset, File, Rendition
from media.processing.exceptions import UnreadableMedia
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.media_requests import (
    post,
    post_ok,
    row_counts,
    sound,
    sound_file_part,
    text,
    upload_file,
    upstream_model,
    user_request,
    wait_for_renditions,
)
from tests.support.people import Person
from tests.support.priced_usage import add_credit, assert_ledger_adds_up, wallet_of
from tests.support.running_server import Server, chat_body, wait_until
from tests.support.sounds import wav

USD = 10**9
SECOND = 100_000
"""Nano-USD for a second recognized."""
SECONDS = 3
COST = SECONDS * SECOND
SOUND = wav(bytes(5 * 16_000))
"""Two and a half seconds, so that three have begun."""
WHISPER = {"model": "whisper-1"}
PARAM = "messages[0].content[1].input_audio"

pytestmark = pytest.mark.usefixtures("priced_recognition")


@pytest.fixture
def priced_recognition(server: Server, recognizer: FakeRecognizer) -> Iterator[None]:
    add_price("transcription", {0: rates_of({"seconds": "0.0001"})})
    recognizer.will_hear("Some words.", 2.5)
    yield
    recognizer.go_on()
    server.until_idle()
    wait_for_renditions()
    assert_ledger_adds_up()


def asked(model: str = "text-only", data: bytes = SOUND, **more: Any) -> dict[str, Any]:
    return user_request(text("What is this?"), sound(data, "wav"), model=model, **more)


def transcript(who: Person) -> Rendition:
    wait_for_renditions()
    return Rendition.objects.get(kind="transcript", workspace_id=who.workspace.id)


def recognitions(who: Person) -> list[Charge]:
    return list(Charge.objects.filter(kind="transcription", workspace_id=who.workspace.id))


def assert_paid_once(who: Person, given: int = USD) -> None:
    [charge] = recognitions(who)
    assert (charge.state, charge.model, charge.end) == ("settled", "transcription", "completed")
    assert (charge.seconds, charge.cost, charge.held) == (SECONDS, COST, COST)
    assert wallet_of(who).available == given - COST


def assert_not_made(who: Person) -> None:
    row = transcript(who)
    assert (row.state, row.error_code, row.content) == ("failed", "insufficient_quota", None)
    assert "0.0003 USD" in row.error
    assert recognitions(who) == []


def assert_no_money(answer: Any, param: str | None = PARAM) -> None:
    error = answer.json()["error"]
    assert answer.status_code == 429, answer.text
    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
    assert error["param"] == param
    assert answer.headers["x-should-retry"] == "false"


# --- who pays, and how often ------------------------------------------------------------------------


def test_the_transcript_of_an_upload_is_billed_to_who_uploaded_it(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    upload_file(server, alice, SOUND)
    assert transcript(alice).content["text"] == "Some words."
    assert_paid_once(alice)
    [charge] = recognitions(alice)
    assert (charge.user_id, charge.key_id) == (alice.user.id, ApiKey.objects.get(user=alice.user).id)


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_the_transcript_for_a_model_that_does_not_hear_is_billed(
    server: Server, alice: Person, dialect: str
) -> None:
    add_credit(alice, USD)
    said = post_ok(server, alice, asked(), dialect)["choices"][0]["message"]["content"]
    assert said == "You said: What is this?Some words."
    assert_paid_once(alice)
    [charge] = recognitions(alice)
    assert (charge.user_id, charge.key_id) == (alice.user.id, ApiKey.objects.get(user=alice.user).id)


def test_the_same_bytes_are_billed_once_however_they_come(server: Server, alice: Person, bob: Person) -> None:
    add_credit(alice, USD)
    file_id = upload_file(server, alice, SOUND)
    upload_file(server, bob, SOUND, "again.wav")
    for who in (alice, bob):
        for _ in range(2):
            post_ok(server, who, asked())
            post_ok(server, who, user_request(sound_file_part(file_id), model="text-only"))
    assert_paid_once(alice)


def test_bytes_that_were_deleted_and_sent_again_are_not_billed_again(server: Server, alice: Person) -> None:
    add_credit(alice, COST)
    upload_file(server, alice, SOUND)
    assert transcript(alice).state == "ready"
    File.objects.all().delete()
    delete_unused(timezone.now() + timedelta(days=1))
    assert not Asset.objects.exists()

    post_ok(server, alice, asked())
    assert transcript(alice).state == "ready"
    assert_paid_once(alice, COST)


def test_each_workspace_pays_for_its_own(server: Server, alice: Person, charlie: Person) -> None:
    for who in (alice, charlie):
        add_credit(who, USD)
        upload_file(server, who, SOUND)
        assert transcript(who).state == "ready"
        assert_paid_once(who)


def test_a_call_for_a_transcript_is_a_call_of_its_own(server: Server, alice: Person) -> None:
    """It does the work anew, with its own options, and keeps nothing."""
    add_credit(alice, USD)
    upload_file(server, alice, SOUND)
    assert transcript(alice).state == "ready"
    with server.client(alice) as client:
        for path in ("transcriptions", "translations"):
            files = {"file": ("a.wav", SOUND)}
            answer = client.post(f"/v1/audio/{path}", files=files, data=WHISPER)
            assert answer.status_code == 200, answer.text
    wait_until(lambda: not Charge.objects.filter(state="held").exists())
    assert [charge.cost for charge in recognitions(alice)] == [COST] * 3


def test_a_sound_that_a_model_heard_is_billed_when_it_is_transcribed_too(
    server: Server, alice: Person
) -> None:
    add_credit(alice, USD)
    with upstream_model(server, input_modalities=("text", "audio")):
        post_ok(server, alice, asked("upstream"))
        assert transcript(alice).state == "ready"
    assert_paid_once(alice)


def test_a_spoken_answer_is_not_recognized(server: Server, alice: Person) -> None:
    """What was said is known."""
    add_credit(alice, USD)
    voice = {"voice": "espeak-en-us", "format": "wav"}
    body = chat_body("Hello.", model="scripted", modalities=["text", "audio"], audio=voice)
    post_ok(server, alice, body)
    wait_for_renditions()
    assert not Rendition.objects.filter(kind="transcript").exists()
    assert recognitions(alice) == []


def test_recognition_that_fails_costs_nothing(
    server: Server, alice: Person, recognizer: FakeRecognizer
) -> None:
    add_credit(alice, USD)
    recognizer.will_fail(UnreadableMedia("It is noise."))
    assert post(server, alice, asked()).json()["error"]["code"] == "invalid_media"
    assert transcript(alice).state == "failed"
    assert recognitions(alice) == []
    assert wallet_of(alice).available == USD


def test_free_recognition_leaves_nothing_in_the_books(server: Server, alice: Person) -> None:
    add_price("transcription", None)
    post_ok(server, alice, asked())
    assert transcript(alice).state == "ready"
    assert recognitions(alice) == []
    assert not Wallet.objects.exists()


def test_what_was_billed_is_seen_as_transcription(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    upload_file(server, alice, SOUND)
    assert transcript(alice).state == "ready"
    post_settled()
    begun = Charge.objects.get().admitted_at
    with server.client(alice) as client:
        query: dict[str, str | int] = {"start_time": int(begun.timestamp()), "group_by": "line_item"}
        [cost] = client.get("/v1/organization/costs", params=query).json()["data"][0]["results"]
        movements = client.get("/v1/billing/transactions").json()["data"]
        statement = client.get(f"/v1/billing/statements/{begun:%Y-%m}").json()
    assert (cost["line_item"], cost["amount"]["value"]) == ("transcription, transcription", 0.0003)
    [charged] = [movement for movement in movements if movement["kind"] == "charge"]
    assert (charged["amount"], charged["model"], charged["completion_id"]) == (
        "-0.0003",
        "transcription",
        None,
    )
    [line] = statement["lines"]
    assert (line["model"], line["kind"], line["requests"]) == ("transcription", "transcription", 1)
    assert line["units"]["seconds"] == SECONDS


# --- where the money is not there -------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_a_call_whose_sounds_cannot_be_transcribed_is_refused_before_anything_is_stored(
    server: Server, alice: Person, recognizer: FakeRecognizer, dialect: str, *, stream: bool
) -> None:
    add_credit(alice, COST - 1)
    before = row_counts()
    assert_no_money(post(server, alice, asked(stream=stream), dialect))
    assert row_counts() == before
    assert recognizer.state == "idle"
    assert not Charge.objects.exists()

    add_credit(alice, 1)
    post_ok(server, alice, asked(), dialect)
    assert_paid_once(alice, COST)


def test_a_call_needs_money_for_itself_and_for_the_transcript_beside_it(
    server: Server, alice: Person, charlie: Person
) -> None:
    add_credit(alice, USD)
    post_ok(server, alice, asked("priced"))
    server.until_idle()
    answered = Charge.objects.get(kind="completion")

    add_credit(charlie, answered.held + COST - 1)
    assert_no_money(post(server, charlie, asked("priced")))
    assert Charge.objects.filter(workspace_id=charlie.workspace.id).count() == 0
    add_credit(charlie, 1)
    post_ok(server, charlie, asked("priced"))
    server.until_idle()
    assert answered.cost is not None
    assert wallet_of(charlie).available == answered.held - answered.cost
    # the transcript is there, so that only the answer is paid for now
    add_credit(charlie, answered.cost)
    post_ok(server, charlie, asked("priced"))


def test_all_sounds_of_a_call_count_each_by_its_started_seconds(server: Server, alice: Person) -> None:
    other = wav(bytes(2 * 16_000))
    body = user_request(sound(SOUND), sound(other), sound(SOUND), model="text-only")
    add_credit(alice, COST + SECOND - 1)
    assert_no_money(post(server, alice, body), "messages[0].content[0].input_audio")


def test_a_fallback_that_does_not_hear_needs_the_transcript_too(server: Server, alice: Person) -> None:
    registry = server.service.registry
    hears: dict[str, Any] = {"input_modalities": ("text", "audio")}
    with upstream_model(server, **hears), upstream_model(server, "other", **hears):
        model = registry.find("upstream")
        assert model
        for fallback, status in (("text-only", 429), ("other", 200)):
            registry.add(replace(model, fallbacks=(fallback,)))
            assert post(server, alice, asked("upstream")).status_code == status


def test_a_model_that_hears_answers_without_a_transcript(server: Server, alice: Person) -> None:
    with upstream_model(server, input_modalities=("text", "audio")):
        post_ok(server, alice, asked("upstream"))
    assert_not_made(alice)


def test_an_upload_is_kept_and_says_why_it_has_no_transcript(
    server: Server, alice: Person, recognizer: FakeRecognizer
) -> None:
    add_credit(alice, COST - 1)
    file_id = upload_file(server, alice, SOUND)
    assert_not_made(alice)
    assert recognizer.state == "idle"
    with server.client(alice) as client:
        made = {row["kind"]: row for row in client.get(f"/v1/files/{file_id}/renditions").json()["data"]}
    assert made["wav"]["state"] == "ready"
    assert made["transcript"]["state"] == "failed"
    assert made["transcript"]["error"].startswith("The transcript of this sound may cost up to 0.0003 USD")


@pytest.mark.parametrize("how", ["upload", "chat"])
def test_a_transcript_that_could_not_be_paid_is_made_for_the_next_who_can(
    server: Server, alice: Person, bob: Person, how: str
) -> None:
    upload_file(server, alice, SOUND)
    assert_not_made(alice)
    add_credit(alice, COST)
    if how == "upload":
        upload_file(server, bob, SOUND)
    else:
        post_ok(server, bob, asked())
    assert transcript(alice).state == "ready"
    assert_paid_once(alice, COST)
    assert recognitions(alice)[0].user_id == bob.user.id


@pytest.mark.parametrize("stream", [False, True])
def test_money_that_is_gone_when_the_transcript_is_made_buys_none(
    server: Server, alice: Person, recognizer: FakeRecognizer, *, stream: bool
) -> None:
    add_credit(alice, COST)
    recognizer.wait()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post, server, alice, asked(stream=stream))
        wait_until(lambda: recognizer.state == "open")
        ledger.adjust(alice.workspace.id, -1, reason="a fee", by="treasurer@example.com")
        recognizer.go_on()
        assert_no_money(answer.result())
    assert_not_made(alice)
    assert wallet_of(alice).available == COST - 1


def test_many_uploads_at_once_get_no_more_than_is_paid_for(server: Server, alice: Person) -> None:
    add_credit(alice, 2 * COST)
    for number in range(6):
        upload_file(server, alice, SOUND + bytes([number]))
    wait_for_renditions()
    states = Rendition.objects.filter(kind="transcript").values_list("state", flat=True)
    assert sorted(states) == ["failed"] * 4 + ["ready"] * 2
    assert (len(recognitions(alice)), wallet_of(alice).available) == (2, 0)


def test_a_sound_of_an_earlier_turn_is_paid_for_or_not_read(server: Server, alice: Person) -> None:
    with upstream_model(server, input_modalities=("text", "audio")):
        post_ok(server, alice, asked("upstream"))
    assert_not_made(alice)
    place = {"conversation_id": Conversation.objects.get().public_id}
    body = user_request(text("And now?"), model="text-only", context=place)
    assert_no_money(post(server, alice, body), None)
    add_credit(alice, COST)
    post_ok(server, alice, body)
    assert_paid_once(alice, COST)


def test_a_budget_bounds_transcripts_too(server: Server, alice: Person, bob: Person) -> None:
    add_credit(alice, USD)
    key = ApiKey.objects.get(user=alice.user)
    Budget.objects.create(workspace_id=alice.workspace.id, key_id=key.id, period="day", limit=COST - 1)
    upload_file(server, alice, SOUND)
    assert_not_made(alice)
    assert_no_money(post(server, alice, asked()))
    post_ok(server, bob, asked())
    assert_paid_once(alice)
    post_ok(server, alice, asked())


# --- prices that are not there ----------------------------------------------------------------------


@pytest.fixture
def scheduled_price(priced_recognition: None) -> None:
    """A price that is yet to begin, of which the book has no other."""
    with without_triggers(connection):
        Rate.objects.all().delete()
        Price.objects.all().delete()
    add_price(
        "transcription", {0: rates_of({"seconds": "0.0001"})}, starts_at=timezone.now() + timedelta(days=1)
    )


@pytest.mark.usefixtures("scheduled_price")
def test_recognition_whose_price_is_yet_to_begin_is_not_free(server: Server, alice: Person) -> None:
    upload_file(server, alice, SOUND)
    assert transcript(alice).error_code == "model_unpriced"
    with server.client(alice) as client:
        called = client.post("/v1/audio/transcriptions", files={"file": ("a.wav", SOUND)}, data=WHISPER)
    for refused in (post(server, alice, asked()), called):
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_unpriced")
        assert refused.headers["x-should-retry"] == "false"
    assert Price.objects.filter(model="transcription").count() == 1


@pytest.mark.usefixtures("scheduled_price")
def test_unpriced_recognition_is_recorded_where_the_operator_wants_that(
    server: Server, alice: Person, settings: Settings
) -> None:
    settings.CHATAPI_UNPRICED = "record"
    post_ok(server, alice, asked())
    post_ok(server, alice, asked())
    [charge] = recognitions(alice)
    assert (charge.state, charge.seconds, charge.cost) == ("settled", SECONDS, None)
