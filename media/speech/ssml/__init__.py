"""SSML: made safe as it streams, read strictly where a user wrote it, and turned into a plan of speech."""

from media.speech.ssml.closing import closed
from media.speech.ssml.instructions import INSTRUCTIONS
from media.speech.ssml.planning import transcript_of
from media.speech.ssml.stream import PlainStream, SpeakStream
from media.speech.ssml.strict import SsmlProblem, parse_ssml

__all__ = [
    "INSTRUCTIONS",
    "PlainStream",
    "SpeakStream",
    "SsmlProblem",
    "closed",
    "parse_ssml",
    "transcript_of",
]
