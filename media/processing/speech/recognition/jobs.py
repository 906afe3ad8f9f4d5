"""The jobs of the recognition sandbox: speech becomes text."""

import os
import time
from collections.abc import Iterator

from media.processing.speech.recognition.job_types import (
    RecognitionEnd,
    RecognizerReady,
    Segment,
    Transcribe,
    WarmRecognizer,
)


def transcribe(work: Transcribe) -> Iterator[Segment | RecognitionEnd]:
    """Yield segments as they are recognized, then a `RecognitionEnd`.

    Raises `UnreadableMedia` and `ModelUnusable`.

    Once closed, it ends within one step of the decoder (30 s of sound: 2 to 5 s).
    """
    _stay_offline()
    from media.processing.speech.recognition.transcriber import transcribe_sound

    yield from transcribe_sound(work)


def warm_recognizer(work: WarmRecognizer) -> RecognizerReady:
    """Check and load the model, so that the first sound need not wait for it. Raises `ModelUnusable`."""
    _stay_offline()
    started = time.monotonic()
    from media.processing.speech.recognition.whisper import load_recognizer

    model = load_recognizer(work.models_folder, work.model_path)
    return RecognizerReady(str(model.folder), time.monotonic() - started)


def _stay_offline() -> None:
    # read once, when faster-whisper imports the hub's client; the model's folder has everything needed
    os.environ["HF_HUB_OFFLINE"] = "1"
