"""What speech and transcription cost, however a call ends."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress

import httpx2
import pytest

from billing.models import Charge
from billing.prices import add_price
from billing.tariffs import rates_of
from media.processing.sandbox.exceptions import SandboxError
from media.processing.speech.recognition.job_types import RecognitionEnd, Segment
from media.processing.speech.synthesis.job_types import SpokenPiece
from media.transcription import Recognizer
from tests.support.fake_pool import FakePool
from tests.support.fake_recognizer import FakeRecognizer, segment
from tests.support.people import Person
from tests.support.priced_usage import add_credit, assert_ledger_adds_up, wallet_of
from tests.support.running_server import Server, serving, wait_until
from tests.support.sounds import wav

USD = 10**9
CHARACTER, SECOND = 15_000, 100_000
TEXT = "Hello there."


@pytest.fixture(autouse=True)
def priced(server: Server) -> Iterator[None]:
    add_price("speech", {0: rates_of({"characters": 15})})
    add_price("transcription", {0: rates_of({"seconds": "0.0001"})})
    yield
    assert_ledger_adds_up()


def request_speech(client: httpx2.Client, text: str = TEXT) -> httpx2.Response:
    body = {"model": "tts-1", "voice": "espeak-en-us", "input": text, "response_format": "wav"}
    return client.post("/v1/audio/speech", json=body)


def request_transcript(client: httpx2.Client) -> httpx2.Response:
    files = {"file": ("a.wav", wav(bytes(2 * 16_000 * 2 + 2)))}  # two seconds and a sample
    return client.post("/v1/audio/transcriptions", files=files, data={"model": "whisper-1"})


def recognizing(*results: Segment | RecognitionEnd, error: Exception | None = None) -> Recognizer:
    async def listen(*_: object, **__: object) -> AsyncGenerator[Segment | RecognitionEnd, None]:
        for item in results:
            yield item
        if error:
            raise error

    return listen


def ended_charge() -> Charge:
    wait_until(lambda: Charge.objects.exclude(state="held").exists())
    return Charge.objects.get()


def test_speech_is_billed_by_its_characters(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    with server.client(alice) as client:
        assert request_speech(client).status_code == 200
    charge = ended_charge()
    assert (charge.kind, charge.model, charge.end) == ("speech", "speech", "completed")
    assert (charge.characters, charge.cost) == (len(TEXT), len(TEXT) * CHARACTER)
    assert wallet_of(alice).available == USD - len(TEXT) * CHARACTER


def test_speech_that_cannot_be_paid_is_refused(server: Server, alice: Person) -> None:
    add_credit(alice, len(TEXT) * CHARACTER)
    with server.client(alice) as client:
        refused = request_speech(client, TEXT + "!")
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "insufficient_quota"
        assert refused.headers["x-should-retry"] == "false"
        assert request_speech(client).status_code == 200


def test_speech_that_fails_costs_nothing(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    with server.client(alice) as client:
        assert request_speech(client, "…").status_code == 400
    charge = ended_charge()
    assert (charge.end, charge.cost) == ("failed", 0)


@pytest.mark.parametrize("more", [{}, {"stream_format": "sse"}], ids=["raw", "events"])
def test_speech_that_breaks_off_costs_what_was_delivered(
    server: Server, alice: Person, more: dict[str, str]
) -> None:
    """Also where its client stopped reading, for longer than it is waited for."""

    async def break_off(*_: object, **__: object) -> AsyncGenerator[SpokenPiece, None]:
        yield SpokenPiece(b"\0" * 48_000, "Hello", milliseconds=1000)
        raise SandboxError("Nobody reads.")

    add_credit(alice, USD)
    with serving(synthesis=FakePool(break_off)) as other, other.client(alice) as client:
        body = {"model": "tts-1", "voice": "espeak-en-us", "input": TEXT, "response_format": "pcm", **more}
        with suppress(httpx2.RemoteProtocolError):
            client.post("/v1/audio/speech", json=body)
        charge = ended_charge()
    assert (charge.characters, charge.cost) == (len("Hello"), len("Hello") * CHARACTER)


def test_recognition_is_billed_by_started_seconds(
    server: Server, alice: Person, recognizer: FakeRecognizer
) -> None:
    """The third second has begun by one sample, and it is held for, too."""
    add_credit(alice, 3 * SECOND)
    recognizer.will_follow(recognizing(segment(" Hello."), RecognitionEnd("en", 2.0000625)))
    with server.client(alice) as client:
        assert request_transcript(client).json() == {
            "text": "Hello.",
            "usage": {"type": "duration", "seconds": 3},
        }
    charge = ended_charge()
    assert (charge.kind, charge.seconds, charge.cost) == ("transcription", 3, 3 * SECOND)
    assert charge.held == charge.cost
    assert wallet_of(alice).available == 0


def test_recognition_that_fails_costs_nothing(
    server: Server, alice: Person, recognizer: FakeRecognizer
) -> None:
    add_credit(alice, USD)
    recognizer.will_follow(recognizing(segment(" Hello."), error=SandboxError("It broke.")))
    with server.client(alice) as client:
        assert request_transcript(client).status_code == 500
    charge = ended_charge()
    assert (charge.end, charge.cost, wallet_of(alice).held) == ("failed", 0, 0)
