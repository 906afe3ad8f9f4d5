"""The models file, read and checked."""

import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec

from engines.model_spec import LOCAL_DEFAULT, ModelSpec

ID_LENGTH_LIMIT = 200


class ModelsFileError(Exception):
    """The models file cannot be used; the message says where and why."""


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
