"""The two wire dialects of one service, by name."""

from collections.abc import Mapping

from chatapi.completions.dialects.base import Dialect
from chatapi.completions.dialects.encoder import KEEP_ALIVE, NDJSON_KEEP_ALIVE, Encoder
from chatapi.completions.dialects.native import NativeDialect
from chatapi.completions.dialects.openai import OpenAIDialect
from chatapi.completions.requests import DialectName

DIALECTS: Mapping[DialectName, Dialect] = {"native": NativeDialect(), "openai": OpenAIDialect()}

__all__ = ["DIALECTS", "KEEP_ALIVE", "NDJSON_KEEP_ALIVE", "Dialect", "Encoder"]
