"""Speech in and out over HTTP, also through OpenAI's own client."""

import io
import json
import re
import socket
import wave
from base64 import b64decode
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from django.conf import settings as product_settings
from django.test import Client
from pytest_django import Settings

from media.models import Asset, File
from media.processing.sandbox import pools
from media.processing.sandbox.exceptions import SandboxBusy, SandboxError
from media.processing.speech.synthesis.job_types import SpokenPiece
from media.processing.speech.voices.voice import VoiceInvalid
from media.transcription import recognize
from tests.support.fake_pool import FakePool
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.people import Person
from tests.support.running_server import Server, serving, wait_until
from tests.support.word_error_rate import word_error_rate

WORDS = "The quick brown fox jumps over the lazy dog."
SIGNATURES = {
    "mp3": (b"\xff", "audio/mpeg"),
    "opus": (b"OggS", "audio/ogg"),
    "aac": (b"\xff\xf1", "audio/aac"),
    "flac": (b"fLaC", "audio/flac"),
    "wav": (b"RIFF", "audio/wav"),
    "pcm": (b"", "audio/pcm;rate=24000"),
}
speech_model = [pytest.mark.speech_model, pytest.mark.xdist_group("models")]
SSML = '<speak version="1.1"><s>Hello <break time="300ms"/> there.</s></speak>'


@pytest.fixture
def sdk(server: Server, alice: Person) -> Iterator[openai.OpenAI]:
    with server.sdk(alice) as client:
        yield client


@pytest.fixture(autouse=True)
def nothing_is_kept() -> Iterator[None]:
    yield
    wait_until(lambda: not any((Path(product_settings.DATA_DIR) / "tmp").glob("*")))


def speech_body(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "tts-1", "voice": "espeak-en-us", "input": text, **more}


def wav(seconds: float = 0.5) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(b"\1\0" * int(seconds * 16_000))
    return out.getvalue()


def assert_refused(
    answer: httpx2.Response, status: int, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    if param is not None:
        assert error["param"] == param
    if code is not None:
        assert error["code"] == code
    return error


def events(raw: bytes) -> list[dict[str, Any]]:
    blocks = [block for block in raw.split(b"\n\n") if not block.startswith(b":")]
    assert blocks.pop() == b""
    return [json.loads(block.removeprefix(b"data: ")) for block in blocks]


# --- speech out -------------------------------------------------------------------------------------


def test_a_text_is_spoken_in_every_format(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for format, (signature, media_type) in SIGNATURES.items():
            answer = client.post("/v1/audio/speech", json=speech_body("Hello there.", response_format=format))

            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == media_type
            assert answer.headers["x-accel-buffering"] == "no"
            assert answer.content.startswith(signature)
            assert len(answer.content) > 1000


def test_the_sdk_gets_speech_whole_streamed_and_faster(sdk: openai.OpenAI, tmp_path: Path) -> None:
    whole = sdk.audio.speech.create(model="tts-1", voice="espeak-en-us", input=WORDS)
    assert whole.content[:1] == b"\xff"
    with sdk.audio.speech.with_streaming_response.create(
        model="tts-1", voice="espeak-en-us", input=WORDS, response_format="pcm"
    ) as streamed:
        pcm = b"".join(streamed.iter_bytes())
    fast = sdk.audio.speech.create(
        model="gpt-4o-mini-tts",
        voice={"id": "ESPEAK-EN-US"},
        input=WORDS,
        response_format="pcm",
        speed=2.0,
        instructions="Whisper.",
    )
    assert 1.5 < len(pcm) / 48_000 < 6
    assert 0.35 < len(fast.content) / len(pcm) < 0.65


def test_speech_as_events(sdk: openai.OpenAI) -> None:
    answer = sdk.audio.speech.create(
        model="tts-1", voice="espeak-en-us", input=WORDS, response_format="pcm", stream_format="sse"
    )
    *deltas, done = events(answer.content)

    assert answer.response.headers["content-type"].startswith("text/event-stream")
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    pcm = b"".join(b64decode(delta["audio"]) for delta in deltas)
    seconds = len(pcm) / 48_000
    assert 1.5 < seconds < 6
    assert done["type"] == "speech.audio.done"
    usage = done["usage"]
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] == pytest.approx(seconds * 20, abs=2)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_ssml_is_spoken_only_where_it_is_enabled(server: Server, alice: Person) -> None:
    def seconds(client: httpx2.Client, text: str, **more: Any) -> float:
        answer = client.post("/v1/audio/speech", json=speech_body(text, response_format="pcm", **more))
        assert answer.status_code == 200, answer.text
        return len(answer.content) / 48_000

    with server.client(alice) as client:
        plain = seconds(client, "Hello there.")
        paused = seconds(client, SSML, ssml_enabled=True)
        as_text = seconds(client, SSML)
    assert plain < paused < plain + 1
    assert as_text > paused + 0.2  # its element names are read aloud


WRONG_SPEECH: list[tuple[dict[str, Any], str, str]] = [
    ({"input": None}, "input", "invalid_type"),
    ({"input": 3}, "input", "invalid_type"),
    ({"input": ""}, "input", "invalid_value"),
    ({"input": " \n"}, "input", "invalid_value"),
    ({"input": "x" * 4097}, "input", "string_above_max_length"),
    ({"model": 3}, "model", "invalid_type"),
    ({"voice": "nobody"}, "voice", "voice_not_found"),
    ({"voice": "x" * 10_000}, "voice", "string_above_max_length"),
    ({"voice": {"id": "nobody"}}, "voice", "voice_not_found"),
    ({"voice": {}}, "voice.id", "missing_required_parameter"),
    ({"voice": 3}, "voice", "invalid_type"),
    ({"response_format": "ogg"}, "response_format", "invalid_value"),
    ({"speed": 0.2}, "speed", "decimal_below_min_value"),
    ({"speed": 4.1}, "speed", "decimal_above_max_value"),
    ({"speed": "1"}, "speed", "invalid_type"),
    ({"stream_format": "ndjson"}, "stream_format", "invalid_value"),
    ({"ssml_enabled": "yes"}, "ssml_enabled", "invalid_type"),
    ({"input": "…"}, "input", "invalid_value"),
    ({"input": "```\ncode\n```"}, "input", "invalid_value"),
    ({"input": "```\ncode\n```", "response_format": "pcm"}, "input", "invalid_value"),
    ({"ssml_enabled": True, "input": "<speak/>"}, "input", "invalid_value"),
    ({"ssml_enabled": True}, "input", "invalid_ssml"),
    ({"ssml_enabled": True, "input": "<speak>\n <p></speak>"}, "input", "invalid_ssml"),
    ({"ssml_enabled": True, "input": "<!DOCTYPE x><speak/>"}, "input", "invalid_ssml"),
]


def test_a_wrong_request_for_speech_is_refused(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for change, param, code in WRONG_SPEECH:
            answer = client.post("/v1/audio/speech", json=speech_body("Hello.", **change))
            assert_refused(answer, 400, param, code)


def test_a_missing_parameter_is_named(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for name in ("model", "input", "voice"):
            body = speech_body("Hello.")
            del body[name]
            answer = client.post("/v1/audio/speech", json=body)
            assert_refused(answer, 400, name, "missing_required_parameter")


def test_a_refusal_says_where_ssml_is_wrong_and_which_voices_there_are(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        body = speech_body("<speak>\n  <wrong/></speak>", ssml_enabled=True)
        ssml = assert_refused(client.post("/v1/audio/speech", json=body), 400)
        voice = assert_refused(client.post("/v1/audio/speech", json=speech_body("Hi.", voice="x")), 400)
    assert "line 2, column 3" in ssml["message"]
    assert "'alloy'" in voice["message"]


def test_a_body_that_is_not_an_object_is_refused(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for raw in (b"", b"nonsense", b"[]", b'{"input": "\\ud800"}', b"{" * 5000):
            assert_refused(client.post("/v1/audio/speech", content=raw), 400)


def send_request(server: Server, who: Person, route: str, content_type: str, body: bytes) -> socket.socket:
    """Open a connection and send a request, without reading the response."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    head = (
        f"POST {route} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {who.key}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


def test_a_client_that_leaves_stops_the_synthesis(transactional_db: None, alice: Person) -> None:
    synthesis = FakePool(pools.synthesis.stream)
    body = json.dumps(speech_body("One two three four. " * 200, response_format="pcm", speed=0.25)).encode()
    with serving(synthesis=synthesis) as server:
        with send_request(server, alice, "/v1/audio/speech", "application/json", body) as connection:
            assert connection.recv(12) == b"HTTP/1.1 200"
        wait_until(lambda: synthesis.state == "closed early")


def test_speech_that_breaks_off_is_not_taken_for_complete(transactional_db: None, alice: Person) -> None:
    async def follow(*args: Any, **more: Any) -> AsyncGenerator[SpokenPiece, None]:
        yield SpokenPiece(b"123456", "Hello", milliseconds=1)
        raise SandboxError

    with serving(synthesis=FakePool(follow)) as server, server.client(alice) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            client.post("/v1/audio/speech", json=speech_body("Hello there.", response_format="pcm"))
        answer = client.post("/v1/audio/speech", json=speech_body("Hello there.", stream_format="sse"))
    delta, failure = events(answer.content)
    assert delta["type"] == "speech.audio.delta"
    assert failure["error"]["code"] == "processing_failed"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (SandboxBusy(), 503, "busy"),
        (SandboxError(), 500, "processing_failed"),
        (VoiceInvalid("The voice's files are not what they should be."), 500, "voice_refused"),
        (ZeroDivisionError(), 500, "internal_error"),
    ],
)
def test_a_failure_before_the_first_sound_has_its_true_status(
    error: Exception, status: int, code: str, transactional_db: None, alice: Person
) -> None:
    async def follow(*args: Any, **more: Any) -> AsyncGenerator[SpokenPiece, None]:
        if more:
            raise error
        yield SpokenPiece()

    with serving(synthesis=FakePool(follow)) as server, server.client(alice) as client:
        answer = client.post("/v1/audio/speech", json=speech_body("Hello there."))
    assert_refused(answer, status, code=code)
    if code != "internal_error":
        assert ("retry-after" in answer.headers) == (status == 503)


# --- speech in --------------------------------------------------------------------------------------


def is_heard_in(text: str) -> bool:
    """Whether this is WORDS; Joe slurs one now and then and never speaks the same text twice alike."""
    return word_error_rate(WORDS, text) < 0.2


class TestWithModels:
    pytestmark = speech_model

    @pytest.fixture
    def sound(self, server: Server, alice: Person) -> bytes:
        """WORDS, spoken by Joe."""
        with server.client(alice) as client:
            return client.post("/v1/audio/speech", json=speech_body(WORDS, voice="alloy")).content

    def test_the_sdk_transcribes_in_every_format(self, sdk: openai.OpenAI, sound: bytes) -> None:
        def asked(**more: Any) -> Any:
            return sdk.audio.transcriptions.create(model="whisper-1", file=("a.mp3", sound), **more)

        verbose = asked(
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
            language="en",
            temperature=0,
            prompt="Animals.",
        )
        assert is_heard_in(verbose.text)
        assert (verbose.language, verbose.task) == ("english", "transcribe")
        assert 1.5 < verbose.duration < 6
        assert [bare(word.word) for word in verbose.words] == bare(verbose.text).split()
        assert verbose.segments[0].start < verbose.segments[0].end
        assert "-->" in asked(response_format="srt", extra_body={"stream": "true"})

    def test_a_transcript_comes_as_events(self, sdk: openai.OpenAI, sound: bytes) -> None:
        stream = sdk.audio.transcriptions.create(model="whisper-1", file=("a.mp3", sound), stream=True)
        *deltas, done = list(stream)

        assert {delta.type for delta in deltas} == {"transcript.text.delta"}
        assert done.type == "transcript.text.done"
        assert "".join(getattr(delta, "delta", "") for delta in deltas) == done.text
        assert is_heard_in(done.text)

    def test_the_sdk_translates(self, sdk: openai.OpenAI, sound: bytes) -> None:
        with pytest.warns(DeprecationWarning, match="deprecated"):
            text = sdk.audio.translations.create(
                model="whisper-1", file=("a.mp3", sound), response_format="text"
            )
        assert is_heard_in(str(text))

    def test_a_client_that_leaves_stops_the_recognition(
        self, server: Server, alice: Person, sound: bytes, recognizer: FakeRecognizer
    ) -> None:
        recognizer.will_follow(recognize)
        disposition = b'content-disposition: form-data; name="file"; filename="a.mp3"'
        form = b"--b\r\n" + disposition + b"\r\n\r\n" + sound + b"\r\n--b--\r\n"
        with send_request(server, alice, TRANSCRIPTS[0], "multipart/form-data; boundary=b", form):
            wait_until(lambda: recognizer.state == "open")
        wait_until(lambda: recognizer.state == "closed early")


def test_a_client_that_waits_for_the_first_words_is_kept_alive(
    transactional_db: None, alice: Person, recognizer: FakeRecognizer, settings: Settings
) -> None:
    """Transcribing a window of sound may take as long as the window, and others may be ahead of it."""
    settings.CHATAPI_KEEP_ALIVE_SECONDS = 0.1
    recognizer.will_hear(" Hello.")
    recognizer.wait()
    form: Any = {"files": {"file": ("a.wav", wav())}, "data": {"stream": "true"}}
    with (
        serving() as server,
        server.client(alice) as client,
        client.stream("POST", TRANSCRIPTS[0], **form) as answer,
    ):
        lines = answer.iter_lines()
        waited = [next(lines) for _ in range(3)]
        recognizer.go_on()
        rest = "\n".join(lines)
    assert waited == [": ping"] * 3
    assert '"transcript.text.done","text":"Hello."' in rest


def bare(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", text.lower()))


TRANSCRIPTS = ["/v1/audio/transcriptions", "/v1/audio/translations"]


WRONG_FIELDS = [
    ({"response_format": "diarized_json"}, "response_format"),
    ({"temperature": "1.5"}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": "nan"}, "temperature"),
    ({"timestamp_granularities[]": "word"}, "timestamp_granularities"),
    ({"timestamp_granularities": "letter", "response_format": "verbose_json"}, "timestamp_granularities"),
    ({"stream": "perhaps"}, "stream"),
    ({"prompt": "x" * 20_000}, "prompt"),
]


def test_a_wrong_request_for_a_transcript_is_refused(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for route in TRANSCRIPTS:
            for fields, param in WRONG_FIELDS:
                assert_refused(client.post(route, files={"file": wav()}, data=fields), 400, param)


def test_an_unknown_language_is_refused(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        answer = client.post(TRANSCRIPTS[0], files={"file": wav()}, data={"language": "klingon"})
    assert_refused(answer, 400, "language")


def test_a_file_that_is_not_a_whole_sound_is_refused(server: Server, alice: Person) -> None:
    png, header = b"\x89PNG\r\n\x1a\n" + b"x" * 50, b"RIFF\xff\xff\xff\xffWAVE"
    with server.client(alice) as client:
        for route in TRANSCRIPTS:
            for data in (b"Just text.", png, wav()[:50], b"<svg/>", header):
                answer = client.post(route, files={"file": ("a.wav", data)})
                assert_refused(answer, 400, "file", "invalid_media")


def test_a_sound_beyond_the_limits_is_refused(server: Server, alice: Person, settings: Settings) -> None:
    with server.client(alice) as client:
        settings.CHATAPI_SOUND_SECONDS = 1
        assert_refused(client.post(TRANSCRIPTS[0], files={"file": wav(2)}), 413, "file", "media_too_large")
        settings.CHATAPI_MAX_UPLOAD_BYTES = 1000
        assert_refused(client.post(TRANSCRIPTS[0], files={"file": wav()}), 413, code="body_too_large")


def test_a_sound_is_required(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for route in TRANSCRIPTS:
            missing = client.post(route, files={"model": (None, "whisper-1")})
            assert_refused(missing, 400, "file", "missing_required_parameter")
            assert_refused(client.post(route, json={"model": "whisper-1"}), 415)


# --- access and the list of voices ------------------------------------------------------------------


@pytest.mark.parametrize("route", ["/v1/audio/speech", *TRANSCRIPTS])
def test_a_client_without_a_key_is_refused_before_its_body_is_read(route: str, server: Server) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    head = f"POST {route} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(head.encode())
        assert b" 401 " in connection.recv(65536)


def test_other_methods_are_refused(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for route in ("/v1/audio/speech", *TRANSCRIPTS):
            refused = client.get(route)
            assert_refused(refused, 405)
            assert refused.headers["allow"] == "POST"


def test_everybody_with_a_key_may_ask_for_speech_and_nothing_is_kept(
    server: Server, alice: Person, bob: Person, charlie: Person
) -> None:
    for who in (alice, bob, charlie):
        with server.client(who) as client:
            assert client.post("/v1/audio/speech", json=speech_body("Hi.")).status_code == 200
    assert not Asset.objects.exists()
    assert not File.objects.exists()


def test_the_voices_are_listed(alice: Person, client: Client) -> None:
    assert client.get("/v1/audio/voices").status_code == 401
    listed = client.get("/v1/audio/voices", headers=alice.headers).json()

    assert listed["object"] == "list"
    by_id = {voice["id"]: voice for voice in listed["data"]}
    joe = by_id["joe"]
    assert (joe["object"], joe["language"], joe["engine"]) == ("voice", "en-US", "piper")
    assert "alloy" in joe["aliases"]
    assert by_id["alloy"]["alias_of"] == "joe"
    assert by_id["espeak-de"]["engine"] == "espeak"
