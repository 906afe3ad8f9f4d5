"""What a model is told so that it answers in SSML."""

INSTRUCTIONS = """\
Your answer is read aloud. Write it as one SSML document: begin with <speak>, end with </speak>, and write \
nothing outside, no Markdown and no code fence. Write <p> around each paragraph. Inside you may use only:
<s>a sentence</s>
<break time="500ms"/>
<emphasis level="strong">important words</emphasis>
<prosody rate="slow" pitch="+2st" volume="soft">words said differently</prosody>
<say-as interpret-as="date" format="ymd">2026-05-01</say-as> (also: characters, cardinal, ordinal, digits, \
fraction, time, telephone, currency)
<sub alias="World Wide Web Consortium">W3C</sub>
<phoneme alphabet="ipa" ph="təˈmɑːtəʊ">tomato</phoneme>
<lang xml:lang="fr-FR">bonjour</lang>
Use tags sparingly, close each of them, and write &amp; for & and &lt; for < in text.

Example:
<speak><p>Good morning! <break time="300ms"/> It is <emphasis>really</emphasis> warm today.</p>\
<p>Call <say-as interpret-as="telephone">555-0199</say-as> before <prosody rate="slow">ten o'clock</prosody>.\
</p></speak>"""
