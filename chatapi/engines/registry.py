"""The models file: which models there are, and which engine answers for each.

A new engine is one module and one line in `ENGINES`.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec

from .base import Engine

ID_LENGTH = 200


class ModelsFileError(Exception):
    """The models file cannot be used; the message says where and why."""


class ModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[models]]` entry. Times are in seconds."""

    id: str
    engine: Literal["openai_compatible", "local", "scripted"]
    base_url: str | None = None
    api_key_env: str | None = None
    upstream_model: str | None = None
    input_modalities: tuple[Literal["text", "image", "audio", "file"], ...] = ("text",)
    output_modalities: tuple[Literal["text", "audio"], ...] = ("text",)
    context_length: int | None = None
    max_output_tokens: int | None = None
    max_image_side: int | None = None
    """Pixels: larger pictures are scaled down."""
    default: bool = False
    on_disconnect: Literal["cancel", "continue"] | None = None
    fallbacks: tuple[str, ...] = ()
    owned_by: str = "chatapi"
    supports_n: bool = False
    """The upstream honours `n`; where it does not, it is asked n times."""
    connect_timeout: float = 10
    first_event_timeout: float = 300
    idle_timeout: float = 120
    total_timeout: float = 3600
    """From the first question to the end of the answer."""
    retries: int = 2
    """How often a call is tried again that failed before its first event."""
    model_path: str | None = None
    """`local`: a GGUF file of your own instead of the one that is installed."""
    price: Literal["free"] | dict[str, Any] | None = None
    """Decimals of USD by the names of billing's units; `chatapi.models_file` checks them."""

    @property
    def is_local(self) -> bool:
        """It answers on this machine: nobody else charges for it."""
        return self.engine != "openai_compatible"


LOCAL_DEFAULT = ModelSpec(
    id="qwen2.5-coder-0.5b-instruct",
    engine="local",
    context_length=8192,
    max_output_tokens=4096,
    default=True,
)


def _openai_compatible(spec: ModelSpec) -> Engine:
    from .openai_compatible import OpenAICompatible

    return OpenAICompatible.from_spec(spec)


def _local(spec: ModelSpec) -> Engine:
    from .local import LocalEngine

    return LocalEngine(spec)


def _scripted(spec: ModelSpec) -> Engine:
    from .scripted import ScriptedEngine

    return ScriptedEngine()


ENGINES: Mapping[str, Callable[[ModelSpec], Engine]] = {
    "openai_compatible": _openai_compatible,
    "local": _local,
    "scripted": _scripted,
}


class Registry:
    """The models that this process serves, each with its engine (made on first use)."""

    def __init__(self, specs: tuple[ModelSpec, ...]) -> None:
        self._specs = {spec.id: spec for spec in specs}
        self._engines: dict[str, Engine] = {}
        self.default = next((spec for spec in specs if spec.default), specs[0])

    def __iter__(self) -> Iterator[ModelSpec]:
        return iter(self._specs.values())

    def find(self, model_id: str) -> ModelSpec | None:
        return self._specs.get(model_id)

    def engine(self, spec: ModelSpec) -> Engine:
        engine = self._engines.get(spec.id)
        if engine is None:  # two threads may both make one: the first that is kept serves both
            engine = self._engines.setdefault(spec.id, ENGINES[spec.engine](spec))
        return engine

    def candidates(self, spec: ModelSpec) -> Iterator[ModelSpec]:
        """The model itself, then its fallbacks in their order."""
        yield spec
        for model_id in spec.fallbacks:
            yield self._specs[model_id]

    async def start(self) -> None:
        for spec in self:
            await self.engine(spec).start()

    async def close(self) -> None:
        for engine in self._engines.values():
            await engine.close()


def load_models(path: Path | None) -> tuple[ModelSpec, ...]:
    """Read and check a models file; without one there is the local model alone."""
    if path is None:
        return (LOCAL_DEFAULT,)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        specs = msgspec.convert(document, _ModelsFile).models
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ModelsFileError(f"{path}: {error}") from error
    for problem in _problems(specs):
        raise ModelsFileError(f"{path}: {problem}")
    return specs


class _ModelsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: tuple[ModelSpec, ...]


def _problems(specs: tuple[ModelSpec, ...]) -> Iterator[str]:
    ids = [spec.id for spec in specs]
    if not ids:
        yield "it names no model"
    for model_id in {model_id for model_id in ids if ids.count(model_id) > 1}:
        yield f"the id {model_id!r} is used twice"
    if sum(spec.default for spec in specs) > 1:
        yield "more than one model is the default"
    for spec in specs:
        if not 0 < len(spec.id) <= ID_LENGTH:
            yield f"an id has 1 to {ID_LENGTH} characters, unlike {spec.id[:40]!r}"
        if spec.engine == "openai_compatible" and not spec.base_url:
            yield f"{spec.id!r} needs a base_url"
        if spec.base_url and not spec.base_url.startswith(("http://", "https://")):
            yield f"the base_url of {spec.id!r} is not an http(s) URL"
        for fallback in spec.fallbacks:
            if fallback not in ids or fallback == spec.id:
                yield f"{fallback!r}, a fallback of {spec.id!r}, is not another model of this file"
