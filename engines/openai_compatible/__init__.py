"""The engine for any upstream that speaks OpenAI's chat completions.

client        the engine: session, attempts
payload       values → the request's body
exchange      one response, read as it comes
sse           bytes → lines
wire, chunks  lines → events
calls         the order of tool calls
completeness  whether a call's arguments are whole yet
sound         spoken answers
counts        token counts and times
errors        upstream failures → `EngineError`
reachability  whether the upstream is there
"""

from engines.openai_compatible.engine import OpenAICompatibleEngine

__all__ = ["OpenAICompatibleEngine"]
