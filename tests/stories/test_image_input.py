"""Pictures in requests: every format and every way to send them, what models get, and what is kept."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from PIL import Image
from pytest_django import Settings

from chatapi.completions.attachments.resolve import COPY_AGE
from conversations.models import Conversation, Message
from media.models import Asset, RemoteCopy, Rendition
from tests.support.fake_upstream import FakeUpstream
from tests.support.fake_websites import Visit
from tests.support.media_requests import (
    picture,
    picture_at,
    picture_file,
    pictures_seen,
    post,
    post_ok,
    row_counts,
    site_for,
    text,
    upload_file,
    upstream_model,
    user_request,
    wait_for_renditions,
)
from tests.support.people import Person
from tests.support.pictures import (
    FORMATS,
    encode_picture,
    photo,
    png_chunk,
    quarters,
    revealing_exif,
    rotated_picture,
    text_picture,
)
from tests.support.running_server import Server, events, text_of

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 160, 0), (0, 0, 255), (255, 255, 255)
MEDIA_TYPES = {kind: f"image/{kind}" for kind in FORMATS}


@pytest.fixture
def vision_model(server: Server) -> Iterator[FakeUpstream]:
    """A model that takes pictures."""
    with upstream_model(server, input_modalities=("text", "image")) as upstream:
        yield upstream
        wait_for_renditions()


def refuse_new_pictures(settings: Settings) -> None:
    """Have every picture refused that is inspected from now on."""
    wait_for_renditions()
    settings.CHATAPI_PICTURE_PIXELS = 1


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def assert_upright_and_clean(media_type: str, data: bytes) -> None:
    """Assert that these are the quarters, upright, in a format that models take and without metadata."""
    assert media_type in ("image/png", "image/jpeg", "image/webp")
    image = opened(data)
    assert Image.MIME[image.format or ""] == media_type
    assert not image.getexif()
    assert not {"exif", "icc_profile", "xmp", "comment"} & image.info.keys()
    assert b"SecretCamera" not in data
    colors = image.convert("RGB")
    for at, color in {(20, 12): RED, (76, 12): GREEN, (20, 52): BLUE, (76, 52): WHITE}.items():
        seen = colors.getpixel(at)
        assert isinstance(seen, tuple)
        assert all(abs(a - b) < 40 for a, b in zip(seen, color, strict=True)), f"{at} is {seen}"


# --- every format, every way ------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_every_format_in_a_data_url(
    server: Server, alice: Person, vision_model: FakeUpstream, dialect: str
) -> None:
    sent = [picture(encode_picture(quarters(), kind), MEDIA_TYPES[kind]) for kind in FORMATS]
    post_ok(server, alice, user_request(text("What is this?"), *sent), dialect)

    seen = pictures_seen(vision_model)
    assert len(seen) == len(FORMATS)
    for media_type, data in seen:
        assert_upright_and_clean(media_type, data)
        assert opened(data).size == (96, 64)
    stored = Asset.objects.values_list("media_type", "width", "height")
    assert sorted(stored) == sorted((media_type, 96, 64) for media_type in MEDIA_TYPES.values())


def test_every_format_at_a_url(
    server: Server, alice: Person, vision_model: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(visit: Visit) -> None:
        kind = visit.path.removeprefix("/")
        await visit.answer(encode_picture(quarters(), kind), Content_Type="application/octet-stream")

    with site_for(server, monkeypatch, serve) as site:
        post_ok(server, alice, user_request(*(picture_at(site.url(f"/{kind}")) for kind in FORMATS)))
    assert sorted(visit.path for visit in site.visits) == sorted(f"/{kind}" for kind in FORMATS)
    assert len(pictures_seen(vision_model)) == len(FORMATS)
    for seen in pictures_seen(vision_model):
        assert_upright_and_clean(*seen)
    assert "127.0.0.1" not in str(vision_model.body)


def test_every_format_by_the_id_of_an_upload(
    server: Server, alice: Person, vision_model: FakeUpstream
) -> None:
    ids = [upload_file(server, alice, encode_picture(quarters(), kind), f"a.{kind}") for kind in FORMATS]
    post_ok(server, alice, user_request(*map(picture_file, ids)))
    assert len(pictures_seen(vision_model)) == len(FORMATS)
    for seen in pictures_seen(vision_model):
        assert_upright_and_clean(*seen)


def test_a_picture_named_as_a_file_is_seen_too(server: Server, bob: Person, alice: Person) -> None:
    """Bob names his teammate's upload, as the SDK does."""
    file_id = upload_file(server, alice, encode_picture(quarters()))
    with (
        upstream_model(server, input_modalities=("text", "image")) as vision_model,
        server.sdk(bob) as sdk,
    ):
        sdk.chat.completions.create(
            model="upstream",
            messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": file_id}}]}],
        )
        assert_upright_and_clean(*pictures_seen(vision_model)[0])


# --- as models get them -----------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", [3, 6, 7])
def test_a_rotated_picture_is_sent_upright(
    server: Server, alice: Person, vision_model: FakeUpstream, orientation: int
) -> None:
    post_ok(server, alice, user_request(picture(rotated_picture(orientation), "image/jpeg")))
    [(media_type, data)] = pictures_seen(vision_model)
    assert_upright_and_clean(media_type, data)
    assert opened(data).size == (96, 64)


def test_metadata_such_as_the_place_is_not_sent(
    server: Server, alice: Person, vision_model: FakeUpstream
) -> None:
    sent = encode_picture(quarters(), "jpeg", exif=revealing_exif(), comment=b"SecretCamera")
    assert b"SecretCamera" in sent
    post_ok(server, alice, user_request(picture(sent, "image/jpeg")))
    assert_upright_and_clean(*pictures_seen(vision_model)[0])


def test_a_large_picture_is_scaled_to_what_models_take(
    server: Server, alice: Person, vision_model: FakeUpstream
) -> None:
    wide = picture(encode_picture(quarters(3000, 300)), detail="high")
    with upstream_model(
        server, "short-sighted", input_modalities=("text", "image"), max_image_side=800
    ) as short_sighted:
        post_ok(server, alice, user_request(wide))
        post_ok(server, alice, user_request(wide, model="short-sighted"))
        small = opened(pictures_seen(short_sighted)[0][1])
    large = opened(pictures_seen(vision_model)[0][1])
    assert large.size == (2048, 205)
    assert small.size == (768, 77)
    assert vision_model.body["messages"][0]["content"][0]["image_url"]["detail"] == "high"


# --- a model without vision -------------------------------------------------------------------------


@pytest.mark.speech_model
@pytest.mark.xdist_group("models")
def test_a_model_without_vision_reads_the_text_in_the_picture(server: Server, alice: Person) -> None:
    sign = encode_picture(text_picture([(20, 30, "Closed on Mondays")], (360, 100)))
    body = user_request(picture(sign), text("What does it say?"), model="text-only")

    for dialect in ("native", "openai"):
        whole = post_ok(server, alice, body, dialect)
        stream = {**body, "stream": True, "stream_options": {"include_usage": True}}
        streamed = events(post(server, alice, stream, dialect))[:-1]
        said = whole["choices"][0]["message"]["content"]
        assert "[Picture, 360×100 pixels." in said
        assert "Closed on Mondays" in said
        assert "What does it say?" in said
        assert text_of(streamed) == said
        counts = whole["usage"]["prompt_tokens_details"]
        assert 10 < counts["image_text_tokens"] < 100
        assert streamed[-1]["usage"]["prompt_tokens_details"] == counts
    assert Rendition.objects.get(kind="text").content["text"] == "Closed on Mondays"


# --- nothing twice ----------------------------------------------------------------------------------


def test_the_same_picture_is_one_asset(
    server: Server, alice: Person, bob: Person, vision_model: FakeUpstream
) -> None:
    same = picture(encode_picture(quarters()))
    post_ok(server, alice, user_request(same, same))
    post_ok(server, alice, user_request(same, text("Once more, elsewhere.")))
    post_ok(server, bob, user_request(same), "native")
    upload_file(server, alice, encode_picture(quarters()))
    wait_for_renditions()
    assert Conversation.objects.count() == 3
    assert row_counts()["Asset"] == 1
    assert sorted(Rendition.objects.values_list("kind", "state")) == [
        ("picture", "ready"),
        ("thumbnail", "ready"),
    ]


def test_a_stranger_has_an_asset_of_their_own(
    server: Server, alice: Person, charlie: Person, vision_model: FakeUpstream
) -> None:
    for who in (alice, charlie):
        post_ok(server, who, user_request(picture(encode_picture(quarters()))))
    assert set(Asset.objects.values_list("workspace_id", flat=True)) == {
        alice.workspace.pk,
        charlie.workspace.pk,
    }


class Talk:
    """A client that sends its whole history each time."""

    def __init__(self, server: Server, who: Person, first: dict[str, Any]) -> None:
        self._server, self._who = server, who
        self._messages: list[dict[str, Any]] = [{"role": "user", "content": [first, text("Look.")]}]

    def continue_with(self, *said: str) -> None:
        for words in said:
            body = {"model": "upstream", "messages": self._messages}
            answer = post_ok(self._server, self._who, body)["choices"][0]["message"]
            self._messages += [answer, {"role": "user", "content": words}]


def test_a_history_sent_again_is_not_inspected_again(
    server: Server, alice: Person, vision_model: FakeUpstream, settings: Settings
) -> None:
    talk = Talk(server, alice, picture(encode_picture(quarters())))
    talk.continue_with("And now?")
    refuse_new_pictures(settings)
    assert post(server, alice, user_request(picture(encode_picture(quarters(90))))).status_code == 400
    talk.continue_with("And now?", "And now?")
    assert Conversation.objects.count() == 1
    assert Message.objects.count() == 6
    assert [len(pictures_seen(vision_model, 0)), len(vision_model.requests)] == [1, 3]


def test_a_url_is_fetched_once_and_may_disappear_afterward(
    server: Server,
    alice: Person,
    vision_model: FakeUpstream,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def serve(visit: Visit) -> None:
        await visit.answer(encode_picture(quarters()))

    with site_for(server, monkeypatch, serve) as site:
        talk = Talk(server, alice, picture_at(site.url()))
        talk.continue_with("And now?")
        refuse_new_pictures(settings)
        talk.continue_with("And now?")
        assert len(site.visits) == 1

    # nobody listens there anymore, and the copy is too old: the stored file is used
    RemoteCopy.objects.update(fetched_at=timezone.now() - COPY_AGE)
    with site_for(server, monkeypatch, serve):
        talk.continue_with("And now?")
    assert Conversation.objects.count() == 1
    assert_upright_and_clean(*pictures_seen(vision_model, 0)[0])

    conversation = f"conv_{Conversation.objects.get().id.hex}"
    body = user_request(text("And in the end?"), context={"conversation_id": conversation})
    post_ok(server, alice, body, "native")
    assert_upright_and_clean(*pictures_seen(vision_model, 0)[0])


def test_a_fetched_copy_serves_its_own_workspace_only(
    server: Server,
    alice: Person,
    charlie: Person,
    vision_model: FakeUpstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One workspace cannot get the copy that another one fetched."""

    async def serve(visit: Visit) -> None:
        await visit.answer(encode_picture(quarters()))

    with site_for(server, monkeypatch, serve) as site:
        post_ok(server, alice, user_request(picture_at(site.url())))
        post_ok(server, charlie, user_request(picture_at(site.url())))
    assert len(site.visits) == 2


# --- the size of the database -----------------------------------------------------------------------


def database_bytes() -> int:
    with connection.cursor() as cursor:
        figures = {}
        for pragma in ("page_count", "freelist_count", "page_size"):
            cursor.execute(f"PRAGMA {pragma}")
            figures[pragma] = int(cursor.fetchone()[0])
    return (figures["page_count"] - figures["freelist_count"]) * figures["page_size"]


def heavy_picture(number: int) -> bytes:
    """Two megabytes, most of them a chunk that no viewer shows: quick to create, and each file differs."""
    data = encode_picture(photo(32, 24))
    extra = png_chunk(b"prVt", number.to_bytes(4, "big") * (2 * 2**20 // 4))
    return data[:33] + extra + data[33:]


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="measures SQLite's pages")
@pytest.mark.parametrize(("calls", "pictures"), [(5, 4), pytest.param(10, 5, marks=pytest.mark.long)])
def test_a_picture_of_two_megabytes_adds_less_than_two_kilobytes_to_the_database(
    server: Server, alice: Person, vision_model: FakeUpstream, calls: int, pictures: int
) -> None:
    start = database_bytes()
    for number in range(calls):
        post_ok(server, alice, user_request(text(f"Look at number {number}.")))
    after_texts = database_bytes()
    for number in range(calls):
        heavy = [picture(heavy_picture(pictures * number + n)) for n in range(pictures)]
        post_ok(server, alice, user_request(text(f"Look at number {number}!"), *heavy))
    wait_for_renditions()
    after_pictures = database_bytes()
    each = ((after_pictures - after_texts) - (after_texts - start)) / (calls * pictures)
    assert row_counts()["Asset"] == calls * pictures
    assert Asset.objects.order_by("size").values_list("size", flat=True)[0] > 2 * 2**20
    assert 0 < each < 2048
