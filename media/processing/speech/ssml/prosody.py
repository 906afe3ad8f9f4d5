"""The prosody of words: what the elements around them add up to."""

from collections.abc import Mapping

import msgspec

from media.processing.speech.speech_plan import Say
from media.processing.speech.ssml import attribute_values

_EMPHASIS = {
    "strong": (0.88, 2.0, 3.0),
    "moderate": (0.94, 1.0, 1.5),
    "none": (1.0, 0.0, 0.0),
    "reduced": (1.06, -1.0, -3.0),
}
"""The rate factor, semitones and decibels of each level."""


class Prosody(msgspec.Struct, frozen=True):
    """How words are spoken, in the units of `Say`."""

    voice: str | None = None
    language: str | None = None
    rate: float = 1.0
    pitch: float = 0.0
    volume: float = 0.0
    is_silent: bool = False

    def within(self, name: str, attributes: Mapping[str, str]) -> "Prosody":
        """Return the prosody inside an element, whose attributes have been checked."""
        manner = self
        if language := attributes.get("xml:lang"):
            manner = msgspec.structs.replace(manner, language=language)
        if name == "prosody":
            return manner._with_prosody(attributes)
        if name == "emphasis":
            rate, pitch, volume = _EMPHASIS[attributes.get("level", "moderate")]
            return manner._with_changes(rate, pitch, volume)
        if name == "voice":
            return manner._with_voice(attributes)
        return manner

    def to_say(self, text: str, written: str | None = None) -> Say:
        return Say(
            text,
            None if written == text else written,
            voice=self.voice,
            language=self.language,
            rate=self.rate,
            pitch=self.pitch,
            volume=self.volume,
            is_silent=self.is_silent,
        )

    def _with_prosody(self, attributes: Mapping[str, str]) -> "Prosody":
        rate, pitch, volume = (attributes.get(name) for name in ("rate", "pitch", "volume"))
        base = msgspec.structs.replace(
            self,
            rate=1.0 if rate == "default" else self.rate,
            pitch=0.0 if pitch == "default" else self.pitch,
            volume=0.0 if volume == "default" else self.volume,
            is_silent=self.is_silent and volume != "default",
        )
        return base._with_changes(
            (rate and attribute_values.parse_rate(rate)) or 1.0,
            (pitch and attribute_values.parse_pitch(pitch)) or 0.0,
            (volume and attribute_values.parse_volume(volume)) or 0.0,
        )

    def _with_changes(self, rate: float, pitch: float, volume: float) -> "Prosody":
        is_silent = volume == float("-inf")
        return msgspec.structs.replace(
            self,
            rate=attribute_values.clamp_rate(self.rate * rate),
            pitch=attribute_values.clamp_pitch(self.pitch + pitch),
            volume=self.volume if is_silent else attribute_values.clamp_volume(self.volume + volume),
            is_silent=self.is_silent or is_silent,
        )

    def _with_voice(self, attributes: Mapping[str, str]) -> "Prosody":
        """Use the named voice; without a name, the request's own voice, in the first of the languages."""
        if name := attributes.get("name"):
            return msgspec.structs.replace(self, voice=name.split()[0])
        languages = attributes.get("languages", "").split()
        return msgspec.structs.replace(
            self, voice=None, language=languages[0] if languages else self.language
        )
