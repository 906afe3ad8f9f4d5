"""The registry of models and their engines, and the models file that it is read from.

A new engine needs a package, a line in `ENGINES`, and its name in `ModelSpec.engine`.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import msgspec

from engines.base import Engine
from engines.model_spec import LOCAL_DEFAULT, ModelSpec

ID_LENGTH_LIMIT = 200


class ModelsFileError(Exception):
    """The models file cannot be used; the message says where and why."""


def _openai_compatible(spec: ModelSpec, data_dir: Path) -> Engine:
    from engines.openai_compatible import OpenAICompatibleEngine

    return OpenAICompatibleEngine.from_spec(spec)


def _local(spec: ModelSpec, data_dir: Path) -> Engine:
    from engines.local import LocalEngine

    return LocalEngine(spec, data_dir=data_dir)


def _scripted(spec: ModelSpec, data_dir: Path) -> Engine:
    from engines.scripted import ScriptedEngine

    return ScriptedEngine()


ENGINES: Mapping[str, Callable[[ModelSpec, Path], Engine]] = {
    "openai_compatible": _openai_compatible,
    "local": _local,
    "scripted": _scripted,
}


class Registry:
    """The models that this process serves, each with its engine (created on first use).

    Engines keep the files they write, such as joined model files and logs, in `data_dir`.
    """

    def __init__(self, specs: tuple[ModelSpec, ...], data_dir: Path) -> None:
        self._data_dir = data_dir
        self._specs = {spec.id: spec for spec in specs}
        self._engines: dict[str, Engine] = {}
        self.default = next((spec for spec in specs if spec.default), specs[0])

    def __iter__(self) -> Iterator[ModelSpec]:
        return iter(self._specs.values())

    def find(self, model_id: str) -> ModelSpec | None:
        return self._specs.get(model_id)

    def engine(self, spec: ModelSpec) -> Engine:
        engine = self._engines.get(spec.id)
        if engine is None:  # two threads may both create one; both use the one stored first
            engine = self._engines.setdefault(spec.id, ENGINES[spec.engine](spec, self._data_dir))
        return engine

    def candidates(self, spec: ModelSpec) -> Iterator[ModelSpec]:
        """Yield the model itself, then its fallbacks in order."""
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
    """Read and check a models file; without one, only the local model is served."""
    if path is None:
        return (LOCAL_DEFAULT,)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        specs = msgspec.convert(document, _ModelsFile).models
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ModelsFileError(f"{path}: {error}") from error
    for problem in _find_problems(specs):
        raise ModelsFileError(f"{path}: {problem}")
    return specs


class _ModelsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: tuple[ModelSpec, ...]


def _find_problems(specs: tuple[ModelSpec, ...]) -> Iterator[str]:
    ids = [spec.id for spec in specs]
    if not ids:
        yield "it names no model"
    for model_id in {model_id for model_id in ids if ids.count(model_id) > 1}:
        yield f"the id {model_id!r} is used twice"
    if sum(spec.default for spec in specs) > 1:
        yield "more than one model is the default"
    for spec in specs:
        if not 0 < len(spec.id) <= ID_LENGTH_LIMIT:
            yield f"an id has 1 to {ID_LENGTH_LIMIT} characters, unlike {spec.id[:40]!r}"
        if spec.engine == "openai_compatible" and not spec.base_url:
            yield f"{spec.id!r} needs a base_url"
        if spec.base_url and not spec.base_url.startswith(("http://", "https://")):
            yield f"the base_url of {spec.id!r} is not an http(s) URL"
        for fallback in spec.fallbacks:
            if fallback not in ids or fallback == spec.id:
                yield f"{fallback!r}, a fallback of {spec.id!r}, is not another model of this file"
