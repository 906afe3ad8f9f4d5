"""Refusing what the model that was asked for cannot do, by the parameter's name."""

from collections.abc import Iterator

from chatapi.completions.requests import CompletionRequest
from chatapi.engines.base import Engine
from chatapi.engines.registry import ModelSpec
from chatapi.engines.values import AudioPart, ImagePart
from chatapi.errors import ApiError, BadRequest

_OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens")


def check_against_model(request: CompletionRequest, spec: ModelSpec, engine: Engine) -> None:
    """Raises `BadRequest` for the first thing that this model cannot honour."""
    for problem in _problems(request, spec, engine):
        raise problem


def _problems(request: CompletionRequest, spec: ModelSpec, engine: Engine) -> Iterator[ApiError]:
    for name in engine.unsupported:
        if request.params.get(name):
            yield _unsupported(f"The model {spec.id!r} does not support {name!r}.", name)
    if "audio" in request.modalities and "audio" not in spec.output_modalities:
        yield _unsupported(f"The model {spec.id!r} does not answer in sound.", "modalities")
    if spec.max_output_tokens is not None:
        for name in _OUTPUT_LIMITS:
            if (request.params.get(name) or 0) > spec.max_output_tokens:
                yield BadRequest(
                    f"{name} is too large: {spec.id!r} makes at most {spec.max_output_tokens} tokens.",
                    param=name,
                    code="integer_above_max_value",
                )
    if len(set(spec.input_modalities)) < 3:
        yield from _modality_problems(request, spec)


def _modality_problems(request: CompletionRequest, spec: ModelSpec) -> Iterator[ApiError]:
    for i, message in enumerate(request.messages):
        position = request.positions[i] if request.positions else i
        for j, part in enumerate(message.parts):
            path = f"messages[{position}].content[{j}]"
            if isinstance(part, ImagePart) and "image" not in spec.input_modalities:
                yield _unsupported(f"The model {spec.id!r} does not see pictures.", f"{path}.image_url")
            if isinstance(part, AudioPart) and "audio" not in spec.input_modalities:
                yield _unsupported(f"The model {spec.id!r} does not hear sound.", f"{path}.input_audio")


def _unsupported(message: str, param: str) -> BadRequest:
    return BadRequest(message, param=param, code="unsupported_parameter")
