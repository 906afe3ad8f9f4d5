"""What can be wrong with a file, in words for whoever sent it.

MediaProblem                the file cannot be used
├── Unreadable              it is not what it claims, is damaged, or of a kind that is not taken
│   └── NotTaken            it is sound or a film, but holds nothing that can be heard here
└── TooLarge                it, or what it would unpack to, is beyond a limit
"""


class MediaError(Exception):
    """`message` is a sentence without the place: "The sound is cut off." `code` is for programs."""

    code = "invalid_media"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code


class UnreadableMedia(MediaError):
    code = "invalid_media"


class NoAudio(UnreadableMedia):
    pass


class MediaTooLarge(MediaError):
    code = "media_too_large"
