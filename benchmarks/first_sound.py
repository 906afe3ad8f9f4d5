"""Time from the end of an answer's first sentence to its first sound, through the whole service.

The upstream runs in this process, so that we know when it writes the end of the sentence (the period and the
space after it). It sends nothing more until the sound has arrived.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from benchmarks.bare_models import Yardstick
from benchmarks.findings_table import Finding
from benchmarks.processes import BenchmarkError
from benchmarks.sample_media import SENTENCES, VOICE
from benchmarks.target_servers import HOST, MODEL, Target, start_service

WORD_SECONDS = 0.03
"""The time between two words: as fast as the local model writes."""
PATIENCE = 120.0
QUICK_VOICE = "espeak-en-us"
"""A voice of eSpeak NG, which speaks a sentence in some milliseconds."""
LOCAL_MODEL = "local"
LOCAL_PROMPT = "Explain in many sentences how a sailing boat is built."

_MODELS = """
[[models]]
id = "{model}"
engine = "openai_compatible"
base_url = "http://{host}:{port}/v1"
price = "free"

[[models]]
id = "{local}"
engine = "local"
"""


class FirstSounds(msgspec.Struct):
    """Seconds from the sentence's end to the sound, and what the bare model took for the same sentence."""

    cold: float = 0.0
    alone: list[float] = []
    bare: list[float] = []
    two_at_once: list[float] = []
    without_model: list[float] = []
    beside_local: list[float] = []
    bare_beside_local: list[float] = []

    def findings(self) -> list[Finding]:
        return [
            Finding("first sound after a sentence of ten words, s", self.alone, self.bare, "≤ 0.4", 2),
            Finding("  by eSpeak NG: all but the voice's model, s", self.without_model, digits=3),
            Finding("  where two are spoken at once, s", self.two_at_once, self.bare, digits=2),
            Finding("  while the local model writes, s", self.beside_local, self.bare_beside_local, digits=2),
            Finding("  in the first answer after the start, s", [self.cold], digits=2),
        ]


class Upstream:
    """An upstream that answers with the user's message, word by word, and notes when it wrote the end."""

    def __init__(self) -> None:
        self.ended_at: dict[str, float] = {}
        self.heard: dict[str, asyncio.Event] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        sentence: str = (await request.json())["messages"][-1]["content"]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for word in sentence.split():
            await asyncio.sleep(WORD_SECONDS)
            self.ended_at[sentence] = time.perf_counter()
            await response.write(_chunk({"content": f"{word} "}))
        await self.heard[sentence].wait()
        await response.write(_chunk({}, "stop"))
        await response.write(b"data: [DONE]\n\n")
        return response


@asynccontextmanager
async def _serving(upstream: Upstream) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", upstream.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    chunk = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return b"data: %b\n\n" % msgspec.json.encode({**chunk, "choices": [choice]})


def measure_first_sounds(folder: Path, rounds: int, bare: Yardstick) -> FirstSounds:
    return asyncio.run(_measure(folder, rounds, bare))


async def _measure(folder: Path, rounds: int, bare: Yardstick) -> FirstSounds:
    upstream = Upstream()
    with ExitStack() as stack:
        async with _serving(upstream) as port:
            models_file = folder / "speaking-models.toml"
            models_file.write_text(_MODELS.format(model=MODEL, host=HOST, port=port, local=LOCAL_MODEL))
            models = {"CHATAPI_MODELS_FILE": str(models_file)}
            service = await asyncio.to_thread(start_service, port, folder, models)
            stack.callback(service.process.stop)
            async with aiohttp.ClientSession(
                headers=dict(header.split(": ", 1) for header in service.headers),
                timeout=aiohttp.ClientTimeout(total=PATIENCE),
            ) as session:
                return await _Listener(session, service, upstream, bare).measure(rounds)


class _Listener:
    """The client."""

    def __init__(
        self, session: aiohttp.ClientSession, service: Target, upstream: Upstream, bare: Yardstick
    ) -> None:
        self._session = session
        self._url = f"http://{HOST}:{service.port}{service.path}"
        self._upstream = upstream
        self._bare = bare

    async def measure(self, rounds: int) -> FirstSounds:
        seen = FirstSounds()
        async with self._local_model_writing():
            pass  # wait until it is loaded, which takes both cores
        seen.cold = await self._delay(SENTENCES[0])
        for number in range(rounds):
            sentence, other = SENTENCES[number % 10], SENTENCES[(number + 1) % 10]
            seen.alone.append(await self._delay(sentence))
            seen.bare.append(await self._bare_delay(sentence))
            seen.without_model.append(await self._delay(sentence, QUICK_VOICE))
            seen.two_at_once += await asyncio.gather(self._delay(sentence), self._delay(other))
        async with self._local_model_writing():
            for number in range(rounds):
                sentence = SENTENCES[number % 10]
                seen.beside_local.append(await self._delay(sentence))
                seen.bare_beside_local.append(await self._bare_delay(sentence))
        return seen

    @asynccontextmanager
    async def _local_model_writing(self) -> AsyncIterator[None]:
        """Have the local model write one answer after the other; the block begins at its first word."""
        began = asyncio.Event()

        async def read() -> None:
            while True:
                async for _ in self._deltas(LOCAL_MODEL, LOCAL_PROMPT):
                    began.set()

        reading = asyncio.create_task(read())
        waiting = asyncio.create_task(began.wait())
        await asyncio.wait([reading, waiting], return_when=asyncio.FIRST_COMPLETED)
        try:
            yield
        finally:
            waiting.cancel()
            reading.cancel()
            await asyncio.wait([reading])
        if not reading.cancelled():
            await reading

    async def _bare_delay(self, sentence: str) -> float:
        return (await asyncio.to_thread(self._bare.measure, sentence)).first

    async def _delay(self, sentence: str, voice: str = VOICE) -> float:
        """Seconds from the end of the upstream's sentence to its first sound."""
        heard = self._upstream.heard[sentence] = asyncio.Event()
        first = 0.0
        try:
            async for delta in self._deltas(MODEL, sentence, voice):
                if not first and delta.get("audio", {}).get("data"):
                    first = time.perf_counter() - self._upstream.ended_at[sentence]
                    heard.set()
        finally:
            heard.set()
        return _checked(first)

    async def _deltas(
        self, model: str, message: str, voice: str | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        body: dict[str, Any] = {"model": model, "stream": True}
        body["messages"] = [{"role": "user", "content": message}]
        if voice:
            body |= {"modalities": ["text", "audio"], "audio": {"voice": voice, "format": "pcm16"}}
        async with self._session.post(self._url, json=body) as response:
            if response.status != 200:
                raise BenchmarkError(f"{response.status}: {(await response.text())[:2000]}")
            async for line in response.content:
                if line.startswith(b"data: {"):
                    document = msgspec.json.decode(line[6:])
                    if "error" in document:
                        raise BenchmarkError(line.decode())
                    for choice in document["choices"]:
                        yield choice["delta"]


def _checked(first: float) -> float:
    if first <= 0:
        raise BenchmarkError("an answer was not spoken")
    return first
