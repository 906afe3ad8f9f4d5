"""An engine that says what it is told to: deterministic, without keys, for tests and demos.

The text of the last user message is its script. Plain text is echoed word by word:

    Hello there                     → You said: Hello there

Directives in double brackets say what to answer; those that produce content play in order and replace the
echo:

    [[text: Good morning.]]         text, one word per chunk
    [[reason: Let me think.]]       reasoning, one word per chunk
    [[refuse: I may not.]]          a refusal, one word per chunk
    [[chunks: 100]]                 100 chunks of text, `w1 w2 …`
    [[tool: weather {"city": "Oslo"}]]
                                    a tool call; several are parallel calls. Without the JSON, the
                                    arguments are made from the tool's schema
    [[audio]]                       speaks the text of the answer: a tone of 0.1 s per word, with the
                                    words as its transcript. `modalities` with audio does the same

Others say how:

    [[wait: 3]]                     3 seconds before the first event
    [[slow: 0.05]]                  0.05 seconds before each chunk
    [[finish: length]]              the finish reason
    [[error: 429 retry_after=2 code=rate_limit_exceeded Slow down]]
                                    fails before the first event: a status, then any of
                                    retry_after, code, param and type, then the message
    [[error-after: 3 500 Broken]]   fails like that after 3 chunks
    [[stall]]                       says nothing more after its content, and never ends
    [[break]]                       ends after its content without a finish

Anything else in double brackets is plain text. A directive that cannot be understood is rejected as an
invalid request.

After a tool's message, the answer quotes the tool's result. A required or named `tool_choice` calls a
tool; `response_format` answers with an instance of its schema (for `json_object`, the echo in an object)
that holds only what is required: constants, enums, defaults, then the simplest value of the type. `stop`,
`max_tokens` and `max_completion_tokens` are honored; a token is a chunk, which for text is a word. Usage
counts the words of the prompt and the chunks of the answer. Nothing depends on chance or time except the
`expires_at` of sound. `n` is left to the caller.
"""
