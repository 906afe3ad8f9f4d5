"""Examples in the API's document: a sentence about Oslo, spoken and written down."""

from core.http.examples import sent, shown

_SENTENCE = "Take the tram to the harbour, then walk to the opera house."
_DURATION = {"type": "duration", "seconds": 4}
_BASE64 = "SUQzBAAAAAAAI1RTU0UAAAAPAAADTGF2ZjYyLjMuMTAwAA=="

SPEECH = sent(
    "A sentence as MP3",
    {"model": "tts-1", "input": _SENTENCE, "voice": "alloy", "response_format": "mp3"},
)
SPOKEN_PIECE = shown(
    "A piece of sound", {"type": "speech.audio.delta", "audio": _BASE64}, "text/event-stream"
)
SPOKEN = shown(
    "The end",
    {
        "type": "speech.audio.done",
        "usage": {"input_tokens": 15, "output_tokens": 73, "total_tokens": 88},
    },
    "text/event-stream",
)
TRANSCRIPTION = sent(
    "What is said, with times",
    {"model": "whisper-1", "response_format": "verbose_json"},
    "multipart/form-data",
)
TRANSLATION = sent("What is said", {"model": "whisper-1", "response_format": "json"}, "multipart/form-data")
TRANSCRIPT = shown("A sentence", {"text": _SENTENCE, "usage": _DURATION})
TRANSLATED = shown("A sentence", {"text": _SENTENCE})
TIMED_TRANSCRIPT = shown(
    "A sentence, with times",
    {
        "task": "transcribe",
        "language": "english",
        "duration": 3.62,
        "text": _SENTENCE,
        "segments": [
            {
                "id": 0,
                "seek": 0,
                "start": 0.0,
                "end": 3.5,
                "text": f" {_SENTENCE}",
                "tokens": [9531, 262, 26012, 284, 262, 29437],
                "temperature": 0.0,
                "avg_logprob": -0.21,
                "compression_ratio": 0.98,
                "no_speech_prob": 0.02,
            }
        ],
        "usage": _DURATION,
    },
)
PLAIN_TRANSCRIPT = shown("A sentence", f"{_SENTENCE}\n", "text/plain")
TRANSCRIPT_PIECE = shown(
    "A passage",
    {"type": "transcript.text.delta", "delta": "Take the tram to the harbour,"},
    "text/event-stream",
)
TRANSCRIPT_END = shown(
    "The end", {"type": "transcript.text.done", "text": _SENTENCE, "usage": _DURATION}, "text/event-stream"
)
