"""Errors about unusable files, in words meant for the sender.

MediaError                  the file cannot be used
├── UnreadableMedia         it is not what it claims to be, is damaged, or is of an unsupported kind
│   └── NoAudio             it is audio or video, but holds no sound that can be decoded here
└── MediaTooLarge           it exceeds a limit, or would when unpacked
"""


class MediaError(Exception):
    """The base class of errors about a file.

    `message` is a sentence that leaves out which file it is about: "The sound is cut off." `code` is for
    programs.
    """

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
