"""SSML: repaired as it streams, parsed strictly where a user wrote it, and turned into a speech plan."""

from media.processing.speech.ssml.model_instructions import INSTRUCTIONS
from media.processing.speech.ssml.planner import transcript_of
from media.processing.speech.ssml.strict_parser import SsmlError, parse_ssml
from media.processing.speech.ssml.text_streams import PlainStream, SpeakStream
from media.processing.speech.ssml.unclosed_tags import closed

__all__ = [
    "INSTRUCTIONS",
    "PlainStream",
    "SpeakStream",
    "SsmlError",
    "closed",
    "parse_ssml",
    "transcript_of",
]
