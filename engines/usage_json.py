"""Usage as OpenAI's usage object, which answers carry and the history shows."""

from typing import Any

from engines.events import Usage


def usage_as_json(usage: Usage) -> dict[str, Any]:
    """Return the usage as JSON.

    `image_text_tokens` and `transcript_tokens` are there if text stood for pictures or sounds.
    """
    substitutes = {name: getattr(usage, name) for name in ("image_text_tokens", "transcript_tokens")}
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "audio_tokens": usage.prompt_audio_tokens,
            **{name: count for name, count in substitutes.items() if count},
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.completion_audio_tokens,
            "accepted_prediction_tokens": usage.accepted_prediction_tokens,
            "rejected_prediction_tokens": usage.rejected_prediction_tokens,
        },
    }
