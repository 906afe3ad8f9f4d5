"""Errors of a sandbox pool. An error in a file is a `media.processing.exceptions.MediaError`.

SandboxError                the job was not done, and its caller is not to blame
└── JobInterrupted          nor is the job itself: a retry may well succeed
    └── SandboxBusy         the job was not even started: too many are waiting already
"""

from media.processing.exceptions import MediaError
from media.processing.sandbox.protocol import MediaRejected


class SandboxError(Exception):
    """`message` is safe to show to a client; the log has the details."""

    def __init__(self, message: str = "The file could not be processed.") -> None:
        super().__init__(message)
        self.message = message


class JobInterrupted(SandboxError):
    pass


class SandboxBusy(JobInterrupted):
    def __init__(self) -> None:
        super().__init__("Too many files are being processed just now. Try again later.")


def shutdown_error() -> JobInterrupted:
    return JobInterrupted("The file could not be processed: the service is being stopped.")


def rebuild_media_error(refused: MediaRejected) -> MediaError:
    """Rebuild the error that a worker process reported, if this process knows its class.

    A worker process only names a class; it never decides what is imported. An unknown class becomes
    `MediaError`.
    """
    classes = [MediaError]
    for kind in classes:
        classes.extend(kind.__subclasses__())
    known = {f"{kind.__module__}:{kind.__qualname__}": kind for kind in classes}
    kind = known.get(refused.kind, MediaError)
    error = kind.__new__(kind)  # not kind(…): classes with a fixed message take none
    MediaError.__init__(error, refused.message, code=refused.code)
    return error
