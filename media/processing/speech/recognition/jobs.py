"""The jobs of the recognition sandbox: speech becomes text."""

import os
import time
from collections.abc import Iterator

from media.processing.speech.recognition.job_types import (
    Heard,
    RecognizerReady,
    Segment,
    Transcribe,
    WarmRecognizer,
)


def transcribe(work: Transcribe) -> Iterator[Segment | Heard]:
    """Yield segments as they are recognized, then `Heard`. Raises `UnreadableMedia` and `ModelUnusable`.

    Once closed, it ends within one step of the decoder (30 s of sound: 2 to 5 s).
    """
    _stay_offline()
    from media.processing.speech.recognition.transcriber import listen

    yield from listen(work)


def warm_recogniser(work: WarmRecognizer) -> RecognizerReady:
    """Check and load the model, so that the first sound need not wait for it. Raises `ModelUnusable`."""
    _stay_offline()
    started = time.monotonic()
    from media.processing.speech.recognition.whisper import recogniser

    model = recogniser(work.models_folder, work.model_path)
    return RecognizerReady(str(model.folder), time.monotonic() - started)


def _stay_offline() -> None:
    # read once, when faster-whisper imports the hub's client; the model's folder has everything needed
    os.environ["HF_HUB_OFFLINE"] = "1"
