"""Helpers for tests with pictures and sounds: message parts, and servers around the service."""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from io import BytesIO
from typing import Any, cast

import av
import httpx2
import numpy as np
import pytest
from av.container import InputContainer
from django.apps import apps

from engines.model_spec import ModelSpec
from media.models import Rendition
from media.processing.fetching.fetcher import Fetcher, FetchLimits
from media.processing.fetching.public_network import Lookup, Network
from media.renditions.tasks import RenditionWorker, WorkerNotifier
from tests.support.fake_upstream import FakeUpstream, whole
from tests.support.fake_websites import LOOPBACK, Answer, FakeResolver, Site, website
from tests.support.people import Person
from tests.support.running_server import PATHS, Server, wait_until
from tests.support.sounds import Samples

UPSTREAM = "upstream"
MEDIA_TABLES = ("media", "conversations")


# --- what is sent -----------------------------------------------------------------------------------


def b64(data: bytes) -> str:
    return b64encode(data).decode()


def picture(data: bytes, media_type: str = "image/png", **more: Any) -> dict[str, Any]:
    return picture_at(f"data:{media_type};base64,{b64(data)}", **more)


def picture_at(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def picture_file(file_id: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"file_id": file_id}}


def sound(data: bytes, format: str | None = None) -> dict[str, Any]:
    claim = {} if format is None else {"format": format}
    return {"type": "input_audio", "input_audio": {"data": b64(data), **claim}}


def sound_file_part(file_id: str) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"file_id": file_id}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def user_request(*parts: dict[str, Any], model: str = UPSTREAM, **more: Any) -> dict[str, Any]:
    """A request body with one user message."""
    return {"model": model, "messages": [{"role": "user", "content": list(parts)}], "stream": False, **more}


def post(server: Server, who: Person, body: dict[str, Any], dialect: str = "openai") -> httpx2.Response:
    # verifying would read this machine's certificates, which takes longer than most answers
    with httpx2.Client(base_url=server.url, headers=who.headers, timeout=120, verify=False) as client:
        return client.post(PATHS[dialect], json=body)


def post_ok(server: Server, who: Person, body: dict[str, Any], dialect: str = "openai") -> Any:
    answer = post(server, who, body, dialect)
    assert answer.status_code == 200, answer.text
    return answer.json()


def upload_file(server: Server, who: Person, data: bytes, name: str = "file") -> str:
    with server.client(who) as client:
        answer = client.post("/v1/files", files={"file": (name, data)}, data={"purpose": "user_data"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


# --- what is stored ---------------------------------------------------------------------------------


def row_counts() -> dict[str, int]:
    """The number of rows in each table of the history and the media, but for what follows by itself."""
    models = (model for app in MEDIA_TABLES for model in apps.get_app_config(app).get_models())
    return {
        model.__name__: model._default_manager.count()
        for model in models
        if model.__name__ not in {"ServerProcess", "SearchMark", "SearchDocument"}
    }


def make_due_renditions() -> None:
    """Create all that is due, in this thread."""
    RenditionWorker(notify=WorkerNotifier(lambda *_: None)).work(*Rendition.Priority)


def wait_for_renditions() -> None:
    """Wait until no rendition is pending."""
    wait_until(lambda: not Rendition.objects.filter(state="pending").exists())


# --- servers around the service ---------------------------------------------------------------------


@contextmanager
def upstream_model(server: Server, id: str = UPSTREAM, **spec: Any) -> Iterator[FakeUpstream]:
    """Add a model whose upstream keeps what reaches it, and answers "Seen." to each call."""
    upstream = FakeUpstream()
    upstream.will(whole({"role": "assistant", "content": "Seen."}))
    server.run(upstream.__aenter__())
    model = ModelSpec(
        id=id, engine="openai_compatible", base_url=upstream.base_url, retries=0, price="free", **spec
    )
    try:
        with server.with_model(model):
            yield upstream
    finally:
        server.run(upstream.__aexit__(None, None, None))


@contextmanager
def site_for(
    server: Server, monkeypatch: pytest.MonkeyPatch, answer: Answer, **limits: Any
) -> Iterator[Site]:
    """Run a website on loopback that the service may fetch from."""
    stack = AsyncExitStack()
    site = server.run(stack.enter_async_context(website(answer)))
    try:
        with use_fetcher(server, monkeypatch, allowed=LOOPBACK, **limits):
            yield site
    finally:
        server.run(stack.aclose())


@contextmanager
def use_fetcher(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    look_up: Lookup | None = None,
    allowed: Sequence[Network] = (),
    **limits: Any,
) -> Iterator[None]:
    """Have the service fetch with these limits, and resolve names with `look_up`."""

    async def make() -> Fetcher:
        return Fetcher(FetchLimits(**limits), allowed_networks=allowed, look_up=look_up or FakeResolver())

    fetcher = server.run(make())
    try:
        with monkeypatch.context() as patched:
            patched.setattr(server.service, "_fetcher", fetcher)
            yield
    finally:
        server.run(fetcher.close())


def parts_seen(upstream: FakeUpstream, message: int = -1) -> list[dict[str, Any]]:
    """The parts of a message as they reached the upstream."""
    content: list[dict[str, Any]] = upstream.body["messages"][message]["content"]
    return content


def pictures_seen(upstream: FakeUpstream, message: int = -1) -> list[tuple[str, bytes]]:
    """Media type and bytes of each picture that reached the upstream."""
    urls = [p["image_url"]["url"] for p in parts_seen(upstream, message) if p["type"] == "image_url"]
    return [(url[5 : url.index(";")], b64decode(url[url.index(",") + 1 :])) for url in urls]


def sounds_heard(upstream: FakeUpstream, message: int = -1) -> list[tuple[str, bytes]]:
    """Format and bytes of each sound that reached the upstream."""
    sounds = [p["input_audio"] for p in parts_seen(upstream, message) if p["type"] == "input_audio"]
    return [(sound["format"], b64decode(sound["data"])) for sound in sounds]


# --- decoded sound ----------------------------------------------------------------------------------

RATE = 24_000


def decode_sound(data: bytes) -> tuple[str, Samples]:
    """FFmpeg's name for the container, and its sound as mono samples at 24 kHz."""
    with cast("InputContainer", av.open(BytesIO(data))) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        frames = [made for frame in container.decode(audio=0) for made in resampler.resample(frame)]
        frames += resampler.resample(None)
        return container.format.name, np.concatenate([frame.to_ndarray()[0] for frame in frames])


def seconds_of(data: bytes) -> float:
    return len(decode_sound(data)[1]) / RATE
