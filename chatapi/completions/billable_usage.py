"""What a call used, in the units of billing."""

from billing.units import Units
from engines.events import Usage


def billing_units(usage: Usage, images: int) -> Units:
    """Return the usage in units that do not overlap, whatever an upstream says."""
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    audio_in = min(usage.prompt_audio_tokens, usage.prompt_tokens - cached)
    reasoning = min(usage.reasoning_tokens, usage.completion_tokens)
    audio_out = min(usage.completion_audio_tokens, usage.completion_tokens - reasoning)
    return Units(
        prompt=usage.prompt_tokens - cached - audio_in,
        cached=cached,
        completion=usage.completion_tokens - reasoning - audio_out,
        reasoning=reasoning,
        audio_in=audio_in,
        audio_out=audio_out,
        images=images,
    )
