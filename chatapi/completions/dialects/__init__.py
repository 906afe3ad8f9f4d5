"""The two wire dialects of one service, by name."""

from collections.abc import Mapping

from chatapi.completions.requests import DialectName

from .base import Dialect
from .encoder import KEEP_ALIVE, NDJSON_KEEP_ALIVE, Encoder
from .native import NativeDialect
from .openai import OpenAIDialect

DIALECTS: Mapping[DialectName, Dialect] = {"native": NativeDialect(), "openai": OpenAIDialect()}

__all__ = ["DIALECTS", "KEEP_ALIVE", "NDJSON_KEEP_ALIVE", "Dialect", "Encoder"]
