"""Pictures, sounds and files that must be refused: with a clear error that names them, leaving nothing."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from media.models import File
from media.storage.operations import walk
from tests.support.examples import examples
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.hostile_files import (
    HTML,
    MARK,
    PDF,
    PICTURES,
    POLYGLOTS,
    SOUNDS,
    SSML_BOMBS,
    large_opus_bomb,
)
from tests.support.media_refusals import AUDIO, GOOD, IMAGE, assert_refused, body_with
from tests.support.media_requests import (
    b64,
    picture,
    picture_at,
    picture_file,
    pictures_seen,
    post,
    post_ok,
    row_counts,
    sound,
    sound_file_part,
    upload_file,
    upstream_model,
    user_request,
    wait_for_renditions,
)
from tests.support.people import Person
from tests.support.pictures import FORMATS, encode_picture, quarters
from tests.support.running_server import PATHS, Server
from tests.support.sounds import FILES, sound_file
from tests.support.spoken_streams import VOICE

UNKNOWN_CONVERSATION = {"conversation_id": "conv_0192f0c1a2b37c4d8e5f60718293a4b5"}


@pytest.fixture(autouse=True)
def finish_renditions(server: Server, recognizer: FakeRecognizer) -> Iterator[None]:
    yield
    server.until_idle()
    wait_for_renditions()


# --- files sent inline ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PICTURES)
def test_a_file_that_is_not_a_valid_picture(server: Server, alice: Person, kind: str) -> None:
    message = assert_refused(server, alice, picture(PICTURES[kind]), IMAGE)
    assert message.endswith(".")
    assert "Traceback" not in message
    assert "/tmp" not in message


@pytest.mark.parametrize("kind", SOUNDS)
def test_a_file_that_is_not_a_valid_sound(
    server: Server, alice: Person, kind: str, settings: Settings
) -> None:
    settings.CHATAPI_SOUND_SECONDS = 60
    message = assert_refused(server, alice, sound(SOUNDS[kind], "wav"), AUDIO)
    assert message.endswith(".")
    assert "/tmp" not in message


def test_wrong_base64(server: Server, alice: Person) -> None:
    for url in ("data:image/png;base64,@@@@", "data:image/png;base64,iVBORw", "data:image/png,iVBORw0K"):
        assert_refused(server, alice, picture_at(url), IMAGE, code="invalid_value")
    for data in ("@@@@", "UklGR", "UklGRg==\n", ""):
        part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
        assert_refused(server, alice, part, f"{AUDIO}.data", code="invalid_value")


def test_a_bomb_of_25_megabytes(server: Server, alice: Person) -> None:
    before = row_counts()
    began = time.monotonic()
    answer = post(server, alice, body_with(sound(large_opus_bomb(), "opus")))
    assert answer.status_code == 400, answer.text[:500]
    assert answer.json()["error"]["param"] == AUDIO
    assert answer.json()["error"]["code"] == "media_too_large"
    assert time.monotonic() - began < 20
    assert row_counts() == before


def test_one_of_several_wrong_parts_is_named(server: Server, alice: Person) -> None:
    answer = post(server, alice, user_request(picture(HTML), GOOD, sound(b"Nothing."), model="scripted"))
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] in (
        "messages[0].content[0].image_url",
        "messages[0].content[2].input_audio",
    )


@pytest.mark.parametrize("kind", POLYGLOTS)
def test_only_the_pixels_of_a_polyglot_are_passed_on(server: Server, alice: Person, kind: str) -> None:
    data = POLYGLOTS[kind]
    assert MARK in data
    with upstream_model(server, input_modalities=("text", "image")) as vision_model:
        post_ok(server, alice, user_request(picture(data)))
        [(media_type, seen)] = pictures_seen(vision_model)
    assert media_type in ("image/png", "image/jpeg", "image/webp")
    assert not any(word in seen for word in (b"script", b"PK\x03\x04", b"/*"))


# --- files named by id ------------------------------------------------------------------------------


def test_a_file_that_is_not_found(server: Server, alice: Person, bob: Person, charlie: Person) -> None:
    mine = upload_file(server, alice, encode_picture(quarters()), "a.png")
    post_ok(server, bob, body_with(picture_file(mine)))
    assert_refused(server, charlie, picture_file(mine), f"{IMAGE}.file_id", status=404)
    assert_refused(server, alice, picture_file("file-unknown"), f"{IMAGE}.file_id", status=404)
    file = {"type": "file", "file": {"file_id": mine}}
    assert_refused(server, charlie, file, "messages[1].content[2].file.file_id", status=404)
    File.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert_refused(server, alice, picture_file(mine), f"{IMAGE}.file_id", status=404)


def test_a_client_without_a_key_is_not_told_whether_a_file_exists(server: Server, alice: Person) -> None:
    mine = upload_file(server, alice, encode_picture(quarters()), "a.png")
    with server.client() as nobody:
        for dialect in PATHS:
            answer = nobody.post(PATHS[dialect], json=body_with(picture_file(mine)))
            assert answer.status_code == 401


def test_a_file_of_another_kind(server: Server, alice: Person) -> None:
    notes = upload_file(server, alice, b"Some notes.", "notes.txt")
    melody = upload_file(server, alice, sound_file("mp3"), "a.mp3")
    photo = upload_file(server, alice, encode_picture(quarters()), "a.png")
    for file_id in (notes, melody):
        assert "no picture" in assert_refused(server, alice, picture_file(file_id), IMAGE)
    for file_id in (notes, photo):
        assert "no sound" in assert_refused(server, alice, sound_file_part(file_id), AUDIO)


def test_a_document_for_a_model_that_takes_none(server: Server, alice: Person) -> None:
    param = "messages[1].content[2].file"
    inline = {"type": "file", "file": {"file_data": b64(PDF), "filename": "a.pdf"}}
    assert_refused(server, alice, inline, param, code="unsupported_parameter")
    by_id = {"type": "file", "file": {"file_id": upload_file(server, alice, PDF, "a.pdf")}}
    assert_refused(server, alice, by_id, param, code="unsupported_parameter")

    with upstream_model(server, input_modalities=("text", "file", "image")) as reader:
        post_ok(server, alice, body_with(by_id, model="upstream"))
        file = reader.body["messages"][1]["content"][2]["file"]
    assert file["file_data"] == f"data:application/pdf;base64,{b64(PDF)}"


def test_a_file_of_text_is_read_by_every_model(server: Server, alice: Person) -> None:
    notes = {"type": "file", "file": {"file_data": b64(b"Buy milk."), "filename": "notes.txt"}}
    with upstream_model(server) as reader:
        post_ok(server, alice, user_request(notes))
        assert "Buy milk." in str(reader.body["messages"])


# --- hostile SSML -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SSML_BOMBS)
def test_ssml_that_reaches_out_or_blows_up(server: Server, alice: Person, kind: str) -> None:
    body = {"model": "tts-1", "voice": VOICE, "input": SSML_BOMBS[kind], "ssml_enabled": True}
    with server.client(alice) as client:
        answer = client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == ("input", "invalid_ssml")
    assert "passwd" not in error["message"].replace("file:///etc/passwd", "")


def test_ssml_that_is_silent_for_hours_is_not_synthesized(server: Server, alice: Person) -> None:
    silence = "<speak>" + '<break time="10s"/>' * 200 + "</speak>"
    body = {
        "model": "tts-1",
        "voice": VOICE,
        "input": silence,
        "ssml_enabled": True,
        "response_format": "pcm",
    }
    with server.client(alice) as client:
        answer = client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 400 or len(answer.content) < 48_000 * 600


# --- anything else ----------------------------------------------------------------------------------


SEEDS = [encode_picture(quarters(), kind) for kind in FORMATS] + [sound_file(kind, 0.2) for kind in FILES]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A media file with some bytes changed and its end cut off, or noise."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for at, value in draw(
        st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=4)
    ):
        data[at] = value
    kept = draw(st.one_of(st.just(len(data)), st.integers(1, len(data))))
    return draw(st.one_of(st.just(bytes(data[:kept])), st.binary(min_size=1, max_size=200)))


ODD_TEXTS = st.one_of(
    st.text(max_size=20), st.sampled_from(["wav", "mp3", "pcm16", "opus", "WEBM", "..", "a/b"])
)
PARTS = st.one_of(
    st.builds(picture, damaged(), st.sampled_from(["image/png", "image/jpeg", "image/svg+xml", "text/html"])),
    st.builds(sound, damaged(), st.one_of(st.none(), ODD_TEXTS)),
    st.builds(picture_at, ODD_TEXTS),
    st.builds(picture_file, ODD_TEXTS),
    st.builds(sound_file_part, ODD_TEXTS),
    st.builds(
        lambda data, name: {"type": "file", "file": {"file_data": b64(data), "filename": name}},
        damaged(),
        ODD_TEXTS,
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["image_url", "input_audio", "file"])},
        optional={
            key: st.one_of(ODD_TEXTS, st.none(), st.integers()) for key in ("image_url", "input_audio")
        },
    ),
)


@given(parts=st.lists(PARTS, min_size=1, max_size=3), dialect=st.sampled_from(["native", "openai"]))
@hypothesis_settings(
    max_examples=examples(60),
    suppress_health_check=list(HealthCheck),
)
def test_nothing_makes_the_server_fail(
    server: Server, alice: Person, parts: list[dict[str, Any]], dialect: str
) -> None:
    before = row_counts()
    answer: httpx2.Response = post(server, alice, user_request(*parts, model="scripted"), dialect)
    assert answer.status_code in (200, 400, 404, 413), answer.text[:500]
    if answer.status_code != 200:
        assert answer.json()["error"]["param"].startswith("messages[0]")
        assert row_counts() == before


def test_a_refused_file_is_not_kept(server: Server, alice: Person) -> None:
    answer = post(server, alice, user_request(picture(HTML), model="scripted"))
    assert answer.status_code == 400
    assert stored_names(alice) == []


def test_good_files_of_a_refused_call_are_not_kept(server: Server, alice: Person) -> None:
    good = picture(encode_picture(quarters()))
    document = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{b64(PDF)}"}}
    answer = post(server, alice, user_request(good, document, model="scripted"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_parameter")
    assert stored_names(alice) == []

    strange = user_request(good, model="scripted", context=UNKNOWN_CONVERSATION)
    assert post(server, alice, strange).status_code == 404
    assert stored_names(alice) == []


def test_a_file_that_another_call_holds_stays_when_a_later_one_is_refused(
    server: Server, alice: Person
) -> None:
    good = picture(encode_picture(quarters()))
    post_ok(server, alice, user_request(good, model="scripted"))
    before = set(stored_names(alice))
    assert (
        post(server, alice, user_request(good, model="scripted", context=UNKNOWN_CONVERSATION)).status_code
        == 404
    )
    assert before <= set(stored_names(alice))


def stored_names(who: Person) -> list[str]:
    return [found.name for found in walk(who.workspace.pk.hex)]
