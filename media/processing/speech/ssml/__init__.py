"""SSML: repaired as it streams, parsed strictly where a user wrote it, and turned into a speech plan."""

from media.processing.speech.ssml.model_instructions import SSML_INSTRUCTIONS
from media.processing.speech.ssml.planner import plan_transcript
from media.processing.speech.ssml.ssml_stream import SsmlStream
from media.processing.speech.ssml.strict_parser import SsmlError, parse_ssml
from media.processing.speech.ssml.unclosed_tags import close_document

__all__ = [
    "SSML_INSTRUCTIONS",
    "SsmlError",
    "SsmlStream",
    "close_document",
    "parse_ssml",
    "plan_transcript",
]
