"""The most that a call may use, which is held before it starts."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from billing.tariffs import Bound
from chatapi.completions.prompt_size import PromptSize, prompt_size
from conversations.completion_request import CompletionRequest, requested_output_limit
from engines.model_spec import ModelSpec

DEFAULT_OUTPUT_LIMIT = 16_384
"""The limit of an answer if neither the call nor the models file sets one."""
SPEECH_TOKENS_PER_TEXT_TOKEN = 12
"""Tokens of sound per token of text: at 20 tokens of sound per second, slow speech with pauses."""


def usage_bound(
    request: CompletionRequest,
    specs: Sequence[ModelSpec],
    milliseconds: Mapping[str, int] = MappingProxyType({}),
    size: PromptSize | None = None,
) -> Bound:
    """Return the most that this call, with its whole history, may use, whichever of the models answers.

    `milliseconds` are the lengths of its sounds by SHA-256, where they are known, and `size` is that of its
    prompt if it is the same for all models. A prompt that does not fit into a model's context is not
    answered, so no prompt counts for more.
    """
    sizes = [
        size or prompt_size(request, spec, milliseconds=milliseconds, uploads=request.uploads)
        for spec in specs
    ]
    output = max(output_limit(request.params, spec) for spec in specs)
    is_spoken_here = any(speech_limit(request, spec) for spec in specs)
    requests = 1 if all(spec.supports_n for spec in specs) else request.n
    return Bound(
        prompt=max(size.bound(spec) for size, spec in zip(sizes, specs, strict=True)),
        requests=requests,
        output=request.n * output,
        spoken=request.n * output * SPEECH_TOKENS_PER_TEXT_TOKEN if is_spoken_here else 0,
        images=max(size.images for size in sizes),
        hears=any("audio" in spec.input_modalities for spec in specs),
        speaks="audio" in request.modalities and any("audio" in spec.output_modalities for spec in specs),
    )


def speech_limit(request: CompletionRequest, spec: ModelSpec) -> int:
    """Return the most tokens of speech that are made here of this model's answers; 0 if it speaks itself."""
    if "audio" not in request.modalities or "audio" in spec.output_modalities:
        return 0
    return request.n * output_limit(request.params, spec) * SPEECH_TOKENS_PER_TEXT_TOKEN


def expected_tokens(request: CompletionRequest, spec: ModelSpec) -> int:
    """Return the tokens that a call may use: those of its prompt, and of the answers if it limits them."""
    return prompt_size(request, spec).expected + request.n * request.output_limit


def output_limit(params: Mapping[str, Any], spec: ModelSpec) -> int:
    """Return the most tokens that an answer may have, according to the call or the models file."""
    return (
        requested_output_limit(params)
        or spec.max_output_tokens
        or spec.context_length
        or DEFAULT_OUTPUT_LIMIT
    )


def limit_output(params: dict[str, Any], spec: ModelSpec) -> dict[str, Any]:
    """Return the parameters with an output limit, so that the answer costs no more than is held for it."""
    if requested_output_limit(params) or (spec.context_length and not spec.max_output_tokens):
        return params
    return {**params, "max_completion_tokens": output_limit(params, spec)}
