"""The files of a workspace that its conversations refer to."""

from random import Random
from typing import NamedTuple

from core.blob import Blob
from engines.messages import AudioPart, FilePart, ImagePart, Part, SpokenPart


class Speech(NamedTuple):
    """A spoken answer: its sound, and what is said in it."""

    blob: Blob
    transcript: str


class Library(NamedTuple):
    """What can be attached to a message, and what a model may say."""

    pictures: tuple[Blob, ...] = ()
    sounds: tuple[Blob, ...] = ()
    documents: tuple[tuple[str, Blob], ...] = ()
    speeches: tuple[Speech, ...] = ()

    def attach(self, random: Random) -> tuple[Part, ...]:
        """Draw a file or two to go with a question."""
        chance = random.random()
        if chance < 0.15 and self.sounds:
            return (AudioPart(random.choice(self.sounds), "wav"),)
        if chance < 0.3 and self.documents:
            filename, blob = random.choice(self.documents)
            return (FilePart(blob, filename),)
        count = min(len(self.pictures), 2 if chance > 0.9 else 1)
        return tuple(ImagePart(blob) for blob in random.sample(self.pictures, count))

    def speak(self, random: Random, id: str, expires_at: int) -> SpokenPart | None:
        """Draw a spoken answer under an id of its own; `expires_at` is in seconds."""
        if not self.speeches:
            return None
        speech = random.choice(self.speeches)
        return SpokenPart(id, speech.transcript, speech.blob, expires_at)
