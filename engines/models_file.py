"""The models file, read and checked."""

import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
from yarl import URL

from core.redaction import redact
from core.secret_variables import UnusableSecret, is_variable, read_secret
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
        raise ModelsFileError(redact(f"{path}: {error}")) from error
    for problem in _find_problems(specs):
        raise ModelsFileError(redact(f"{path}: {problem}"))
    return specs


class _ModelsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: tuple[ModelSpec, ...]


def _is_http_url(text: str) -> bool:
    try:
        url = URL(text)
        return url.scheme in {"http", "https"} and bool(url.host) and text.isprintable()
    except ValueError:  # its text may contain a password
        return False


def _find_key_problems(spec: ModelSpec, variable: str) -> Iterator[str]:
    if not is_variable(variable):
        yield f"the api_key_env of {spec.id!r} is not a variable's name: the key itself does not belong here"
        return
    if spec.base_url and "@" in spec.base_url.partition("://")[2].partition("/")[0]:
        yield f"{spec.id!r} has both an api_key_env and a user in its base_url: leave one out"
    try:
        read_secret(variable)
    except UnusableSecret as problem:
        yield f"the key of {spec.id!r}: {problem}"


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
        if spec.base_url and not _is_http_url(spec.base_url):
            yield f"the base_url of {spec.id!r} is not an http(s) URL"
        if spec.api_key_env is not None:
            yield from _find_key_problems(spec, spec.api_key_env)
        for fallback in spec.fallbacks:
            if fallback not in ids or fallback == spec.id:
                yield f"{fallback!r}, a fallback of {spec.id!r}, is not another model of this file"
