"""The files of the demo, drawn and synthesized: small, but whole, with what the service makes of each."""

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from struct import pack
from typing import Any, NamedTuple

import msgspec
from PIL import Image, ImageDraw, ImageFont

from media.models import Rendition
from media.processing.pictures.rendering import RenderPicture, render_picture
from media.processing.sound.encoders import wav_header
from media.processing.sound.output_formats import PCM16_MEDIA_TYPE, RECOGNITION_RATE, SPEECH_RATE
from media.processing.sound.transcoding import Transcode, transcode_sound
from media.processing.sound.waveform_peaks import SoundPeaks, sound_peaks

Kind = Rendition.Kind
_RECEIPTS = (
    "INVOICE 2026-0417\nBlue Harbor Travel\n2 x ferry ticket 48.00\n1 x bicycle 12.50\nTotal EUR 60.50",
    "DELIVERY NOTE 88213\n12 x paper A4\n 3 x toner black\nReceived by: J. Kofi",
    "MENU OF THE DAY\nTomato soup   6.50\nPepper risotto 14.00\nLemon cake    5.00",
    "SERVER STATUS\nqueue: 17 waiting\nlatency p95: 240 ms\nerrors: 0.3 %",
    "TIMETABLE\n07:12 Museum\n07:42 River\n08:12 Mountain",
)
_SAID = (
    "Please cancel my order, the delivery was three days late.",
    "Could you read me the timetable for tomorrow morning?",
    "I would like to change the address of my account.",
)
_ANSWERED = (
    "Your order was cancelled, and the refund is on its way.",
    "The first train leaves at twelve minutes past seven.",
)


class Made(NamedTuple):
    """A rendition: a file, or content."""

    media_type: str = ""
    data: bytes = b""
    content: Any = None


class Original(NamedTuple):
    """A file. `words` is what is said in a sound."""

    filename: str
    media_type: str
    data: bytes
    width: int | None = None
    height: int | None = None
    milliseconds: int | None = None
    renditions: Mapping[str, Made] = {}
    words: str = ""


@cache
def draw_pictures() -> Sequence[Original]:
    """Draw receipts as PNG and landscapes as JPEG."""
    receipts = [_picture(f"receipt-{n}.png", "PNG", _paper(text), text) for n, text in enumerate(_RECEIPTS)]
    return receipts + [_picture(f"photo-{n}.jpg", "JPEG", _landscape(n), "") for n in range(4)]


def _paper(text: str) -> Image.Image:
    image = Image.new("RGB", (420, 60 + 34 * (text.count("\n") + 1)), "white")
    draw = ImageDraw.Draw(image)
    draw.multiline_text((24, 24), text, "black", font=ImageFont.load_default(22), spacing=10)
    return image


def _landscape(number: int) -> Image.Image:
    image = Image.new("RGB", (480, 320))
    draw, random = ImageDraw.Draw(image), Random(number)  # noqa: S311 (nothing secret)
    for y in range(320):
        draw.line((0, y, 480, y), (40 + 30 * number, 120 + y // 4, 250 - y // 3))
    for depth in range(3):
        ridge = [(x, 150 + 50 * depth + random.randrange(40)) for x in range(0, 481, 40)]
        draw.polygon([(0, 320), *ridge, (480, 320)], (30, 110 - 30 * depth, 60))
    return image


def _picture(filename: str, form: str, image: Image.Image, text: str) -> Original:
    file = BytesIO()
    image.save(file, form)
    data = file.getvalue()
    renditions = {
        Kind.PICTURE.value: _with_file(data, _render("model", 2048)),
        Kind.THUMBNAIL.value: _with_file(data, _render("thumbnail", 256)),
        Kind.TEXT.value: Made(content={"text": text}),
    }
    return Original(filename, f"image/{form.lower()}", data, image.width, image.height, None, renditions)


def _render(purpose: Any, side: int) -> Callable[[Path, Path], str]:
    return lambda path, out: (
        render_picture(RenderPicture(str(path), str(out), side, purpose=purpose)).media_type
    )


@cache
def synthesize_questions() -> Sequence[Original]:
    """Make sounds of a melody that stands for each word, as WAV."""
    sounds = []
    for number, words in enumerate(_SAID):
        pcm = _melody(words, RECOGNITION_RATE)
        milliseconds = len(pcm) // 2 * 1000 // RECOGNITION_RATE
        data = wav_header(RECOGNITION_RATE, len(pcm)) + pcm
        passage = {"start": 0.0, "end": milliseconds / 1000, "text": words}
        content = {
            "text": words,
            "language": "en",
            "seconds": milliseconds / 1000,
            "passages": [passage],
        }
        renditions = {
            Kind.WAV.value: _with_file(data, _transcode("wav", None)),
            Kind.TRANSCRIPT.value: Made(content=content),
        }
        name = f"question-{number}.wav"
        sounds.append(
            Original(name, "audio/wav", data, milliseconds=milliseconds, renditions=renditions, words=words)
        )
    return sounds


@cache
def synthesize_answers() -> Sequence[Original]:
    """Make spoken answers as they come in streams: samples without a header."""
    sounds = []
    for number, words in enumerate(_ANSWERED):
        data = _melody(words, SPEECH_RATE)
        renditions = {
            kind.value: _with_file(data, _transcode(kind.value, "pcm16")) for kind in (Kind.OPUS, Kind.MP3)
        }
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            peaks = sound_peaks(SoundPeaks(file.name, "pcm16"))
        renditions[Kind.PEAKS.value] = Made(content=msgspec.to_builtins(peaks))
        milliseconds = len(data) // 2 * 1000 // SPEECH_RATE
        name = f"answer-{number}.pcm"
        sounds.append(
            Original(
                name,
                PCM16_MEDIA_TYPE,
                data,
                milliseconds=milliseconds,
                renditions=renditions,
                words=words,
            )
        )
    return sounds


def write_documents() -> Sequence[Original]:
    lines = "\n".join(f"2026-0{n}-01,{n * 1200},{n * 340}" for n in range(1, 10))
    return [
        Original("figures.csv", "text/plain", f"month,revenue,cost\n{lines}\n".encode()),
        Original("notes.txt", "text/plain", b"Meeting of Monday\n- ship the release\n- call the landlord\n"),
    ]


def _melody(words: str, rate: int) -> bytes:
    """Return 16-bit samples: a tone of 0.15 s for each word, higher for longer ones."""
    samples = []
    for word in words.split():
        pitch = 180 + 40 * len(word)
        count = int(0.15 * rate)
        samples += [
            int(9000 * math.sin(math.pi * n / count) * math.sin(2 * math.pi * pitch * n / rate))
            for n in range(count)
        ]
    return pack(f"<{len(samples)}h", *samples)


def _transcode(form: str, claimed: str | None) -> Callable[[Path, Path], str]:
    return lambda path, out: transcode_sound(Transcode(str(path), str(out), form, claimed)).media_type


def _with_file(data: bytes, make: Callable[[Path, Path], str]) -> Made:
    """Make a file of another, as the service's sandboxes do."""
    with tempfile.TemporaryDirectory(prefix="chatapi-demo-") as folder:
        source, out = Path(folder) / "original", Path(folder) / "made"
        source.write_bytes(data)
        media_type = make(source, out)
        return Made(media_type, out.read_bytes())
