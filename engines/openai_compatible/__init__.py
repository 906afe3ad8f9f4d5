"""The engine for any upstream that speaks OpenAI's chat completions.

engine             the engine: session, attempts
request_body       values → the request's body
upstream_response  one response, read as it arrives
sse_lines          bytes → lines
chunk_types,
chunk_reader       lines → events
tool_calls         the order of tool calls
json_completeness  whether a call's arguments are complete yet
audio_reader       spoken answers
usage_reader       token counts, wherever an upstream tells them
upstream_numbers   which numbers are counts and times
errors             upstream failures → `EngineError`
reachability       whether the upstream can be reached
"""
