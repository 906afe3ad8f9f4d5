"""The two wire dialects of one service, by name."""

from collections.abc import Mapping

from chatapi.completions.dialects.base import Dialect
from chatapi.completions.dialects.native import NativeDialect
from chatapi.completions.dialects.openai import OpenAIDialect
from chatapi.completions.dialects.stream_encoder import KEEP_ALIVE, NDJSON_KEEP_ALIVE, StreamEncoder
from conversations.completion_request import DialectName

DIALECTS: Mapping[DialectName, Dialect] = {"native": NativeDialect(), "openai": OpenAIDialect()}

__all__ = ["DIALECTS", "KEEP_ALIVE", "NDJSON_KEEP_ALIVE", "Dialect", "StreamEncoder"]
