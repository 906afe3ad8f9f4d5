"""The service hears what it spoke, in every format that it takes, with real models both ways."""

import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import pytest
from pytest_django import Settings

from billing.models import Charge
from billing.prices import add_price
from billing.tariffs import rates_of
from media.models import Asset, Rendition
from tests.support.media_requests import RATE, decode_sound, sound, user_request
from tests.support.people import Person
from tests.support.priced_usage import add_credit, assert_ledger_adds_up
from tests.support.running_server import Server, text_of
from tests.support.sounds import Samples, encode_samples
from tests.support.spoken_streams import stream_of
from tests.support.word_error_rate import word_error_rate

pytestmark = [pytest.mark.speech_model, pytest.mark.xdist_group("models")]

SENTENCE = ("Please remember to bring your passport and your ticket.",)
READINGS = (
    (
        "Good morning, how can I help you today?",
        "The train to the city leaves at half past nine.",
        "Please remember to bring your passport and your ticket.",
        "It will rain in the afternoon, so take an umbrella with you.",
        "The library is on the other side of the river.",
    ),
    (
        "First, cut the onions and fry them in a little butter.",
        "Then add the potatoes, the carrots and a glass of water.",
        "Let the soup cook slowly for about twenty minutes.",
        "Do not forget to turn off the stove when you are done.",
        "It tastes even better on the following day.",
    ),
    (
        "The meeting has been moved from Tuesday to Thursday.",
        "Everybody should read the report before they come.",
        "We will talk about the budget and the new office.",
        "Send me a message if you cannot be there.",
        "Coffee and sandwiches will be served at noon.",
    ),
    (
        "Most birds fly south before the winter begins.",
        "Some of them travel thousands of miles without a rest.",
        "They find their way by the sun and the stars.",
        "In the spring they return to the same forest.",
        "Nobody knows exactly how the young ones learn it.",
    ),
)
"""Twenty sentences that an assistant might say."""


class Recorder(NamedTuple):
    """An FFmpeg muxer and encoder; `claim` is the format that the client names."""

    claim: str
    muxer: str = ""
    encoder: str = ""
    rate: int = 48_000


RECORDERS = (
    (Recorder("wav", "wav", "pcm_s16le"), Recorder("mp3", "mp3", "libmp3lame")),
    (Recorder("flac", "flac", "flac"), Recorder("opus", "ogg", "libopus")),
    (Recorder("webm", "webm", "libopus"), Recorder("m4a", "ipod", "aac")),
    (Recorder("mp4", "mp4", "aac"), Recorder("pcm16")),
)
"""Two formats for each reading."""


def spoken(server: Server, who: Person, reading: tuple[str, ...]) -> Samples:
    """Let Joe read it aloud; return the samples at 24 kHz."""
    body = {"model": "tts-1", "voice": "joe", "input": " ".join(reading), "response_format": "wav"}
    with server.client(who) as client:
        client.timeout = 120
        answer = client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    return decode_sound(answer.content)[1]


def recorded(samples: Samples, recorder: Recorder) -> bytes:
    """Encode the samples as a browser or a phone would send them."""
    if not recorder.muxer:
        return samples.tobytes()
    doubled = samples.repeat(recorder.rate // RATE)[:, None]
    return encode_samples(doubled, recorder.muxer, recorder.encoder, rate=recorder.rate)


def transcripts_of(server: Server, who: Person, recordings: Mapping[str, bytes]) -> dict[str, str]:
    """Send the recordings; return their transcripts by format. The answer quotes each."""
    parts: list[dict[str, Any]] = [sound(data, claim) for claim, data in recordings.items()]
    # a stream is kept alive, however long it takes
    *chunks, last = stream_of(server, who, user_request(*parts, model="text-only"))
    assert last["choices"][0]["finish_reason"] == "stop"
    heard = Rendition.objects.filter(kind="transcript").select_related("asset")
    by_digest = {rendition.asset.sha256: rendition.content for rendition in heard}
    contents = {claim: by_digest[sha256(data).hexdigest()] for claim, data in recordings.items()}
    answer = text_of(chunks)
    assert all(content["text"] in answer and content["language"] == "en" for content in contents.values())
    return {claim: content["text"] for claim, content in contents.items()}


@pytest.mark.parametrize(
    ("readings", "recorders", "tolerance"),
    [
        # Joe may slur a word, which is a larger part of a short sentence
        pytest.param([SENTENCE], RECORDERS[2:3], 0.2, id="a sentence"),
        pytest.param(READINGS, RECORDERS, 0.1, id="every format", marks=pytest.mark.long),
    ],
)
def test_speech_is_heard(
    server: Server,
    alice: Person,
    settings: Settings,
    readings: Sequence[tuple[str, ...]],
    recorders: Sequence[tuple[Recorder, ...]],
    tolerance: float,
) -> None:
    settings.CHATAPI_MEDIA_WAIT_SECONDS = 1800
    add_price("transcription", {0: rates_of({"seconds": "0.0001"})})
    add_credit(alice, 10**9)
    recordings: dict[str, bytes] = {}
    said: dict[str, str] = {}
    for reading, formats in zip(readings, recorders, strict=True):
        samples = spoken(server, alice, reading)
        for recorder in formats:
            recordings[recorder.claim] = recorded(samples, recorder)
            said[recorder.claim] = " ".join(reading)

    heard = transcripts_of(server, alice, recordings)

    assert Asset.objects.count() == len(recordings) == 2 * len(recorders)
    errors = {claim: word_error_rate(said[claim], heard[claim]) for claim in recordings}
    assert max(errors.values()) <= tolerance, (errors, heard)
    assert_billed_by_their_length(len(recordings))


def assert_billed_by_their_length(count: int) -> None:
    made = Rendition.objects.filter(kind="transcript").select_related("asset")
    seconds = [math.ceil(rendition.content["seconds"]) for rendition in made]
    lengths = [math.ceil((rendition.asset.milliseconds or 0) / 1000) for rendition in made]
    charges = Charge.objects.filter(kind="transcription")
    assert sorted(charges.values_list("seconds", "cost")) == sorted((n, n * 100_000) for n in seconds)
    assert len(seconds) == count
    assert all(abs(billed - length) <= 1 for billed, length in zip(seconds, lengths, strict=True))
    assert_ledger_adds_up()
