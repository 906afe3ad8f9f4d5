"""The jobs of the synthesis sandbox."""

import time
from collections.abc import Iterator

from media.processing.speech.synthesis.job_types import Speak, SpokenPiece, VoiceReady, WarmVoice


def speak(work: Speak) -> Iterator[SpokenPiece]:
    """Yield the sound of a plan, as it is made.

    Raises `VoiceError` if the voice is unknown or its files are refused.
    """
    from media.processing.speech.synthesis.output_encoding import encode_pieces
    from media.processing.speech.synthesis.plan_speaker import speak_plan

    yield from encode_pieces(speak_plan(work), work.format)


def warm_voice(work: WarmVoice) -> VoiceReady:
    """Load a voice and speak a word, so that the first listener does not wait for it."""
    from media.processing.speech.speech_plan import Say
    from media.processing.speech.synthesis.plan_speaker import speak_plan

    began = time.perf_counter()
    for _ in speak_plan(Speak([Say("Ready.")], work.voice, voices_folder=work.voices_folder)):
        pass
    return VoiceReady(work.voice, time.perf_counter() - began)
