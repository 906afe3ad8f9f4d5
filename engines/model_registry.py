"""The registry of models and their engines.

A new engine needs a package, a line in `ENGINES`, and its name in `ModelSpec.engine`.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from engines.base import Engine
from engines.model_spec import ModelSpec


def _openai_compatible(spec: ModelSpec, data_dir: Path) -> Engine:
    from engines.openai_compatible.engine import OpenAICompatibleEngine

    return OpenAICompatibleEngine.from_spec(spec)


def _local(spec: ModelSpec, data_dir: Path) -> Engine:
    from engines.local.engine import LocalEngine

    return LocalEngine(spec, data_dir=data_dir)


def _scripted(spec: ModelSpec, data_dir: Path) -> Engine:
    from engines.scripted.engine import ScriptedEngine

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

    def add(self, spec: ModelSpec, engine: Engine | None = None) -> None:
        """Serve a model, or change one that is served; it keeps its engine unless another is given."""
        self._specs[spec.id] = spec
        if spec.id == self.default.id:
            self.default = spec
        if engine is not None:
            self._engines[spec.id] = engine

    async def remove(self, model_id: str) -> None:
        """Serve a model no longer, and close its engine."""
        del self._specs[model_id]
        if engine := self._engines.pop(model_id, None):
            await engine.close()

    def find(self, model_id: str) -> ModelSpec | None:
        return self._specs.get(model_id)

    def engine(self, spec: ModelSpec) -> Engine:
        engine = self._engines.get(spec.id)
        if engine is None:  # two threads may both create one; both use the one stored first
            engine = self._engines.setdefault(spec.id, ENGINES[spec.engine](spec, self._data_dir))
        return engine

    def another_engine(self, spec: ModelSpec) -> Engine:
        """Make one more engine of a model, for another event loop. Whoever asked for it closes it."""
        return ENGINES[spec.engine](spec, self._data_dir)

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
