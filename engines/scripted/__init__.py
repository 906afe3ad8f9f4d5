"""An engine that says what it is told to: deterministic, keyless, for tests and demos.

The text of the last user message is its script. Plain text is echoed word by word:

    Hello there                     → You said: Hello there

Directives in double brackets say what to answer; those that make content play in their order,
and the echo is left out:

    [[text: Good morning.]]         text, a word a chunk
    [[reason: Let me think.]]       reasoning, a word a chunk
    [[refuse: I may not.]]          a refusal, a word a chunk
    [[chunks: 100]]                 100 chunks of text, `w1 w2 …`
    [[tool: weather {"city": "Oslo"}]]
                                    a call; several are parallel calls. Without the JSON its
                                    arguments are made from the tool's schema
    [[audio]]                       speaks the text of the answer: a tone of 0.1 s a word, with the
                                    words as its transcript. `modalities` with audio does the same

Others say how:

    [[wait: 3]]                     3 seconds before the first event
    [[slow: 0.05]]                  0.05 seconds before each chunk
    [[finish: length]]              the finish reason
    [[error: 429 retry_after=2 code=rate_limit_exceeded Slow down]]
                                    fails before the first event: a status, then any of
                                    retry_after, code, param and type, then the message
    [[error-after: 3 500 Broken]]   fails so after 3 chunks
    [[stall]]                       says nothing more after its content, and never ends
    [[break]]                       ends after its content without a finish

Anything else in double brackets is plain text. A directive that cannot be understood is refused
as an invalid request.

After a tool's message the answer quotes the tool's result. `tool_choice` required or named calls a
tool, `response_format` answers an instance of its schema (for `json_object` the echo in an
object), made of what is required: constants, enums, defaults, then the simplest value of the type.
`stop`, `max_tokens` and `max_completion_tokens` are honoured; a token is a chunk, which for text is
a word. Usage counts words of the prompt and chunks of the answer. Nothing depends on chance or on
time but `expires_at` of sound. `n` is left to the caller.
"""

from engines.scripted.engine import ScriptedEngine

__all__ = ["ScriptedEngine"]
