"""The prompt that makes a model answer in SSML.

Small models copy what an example says, so it shows forms and no content; large ones know the tags.
"""

EXAMPLE = '<break time="300ms"/>, stress is <emphasis>words</emphasis>'

SSML_INSTRUCTIONS = f"""\
Answer the user in SSML 1.1: begin with <speak>, end with </speak>, no Markdown. These tags are allowed \
inside, sparingly: p, s, break, emphasis, prosody, say-as, sub, phoneme, lang, voice. \
A short pause is {EXAMPLE}. Write &amp; for & and &lt; for < in text."""
