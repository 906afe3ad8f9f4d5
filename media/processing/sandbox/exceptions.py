"""What can go wrong with a workshop. What is wrong with a file is a `media.processing.exceptions.MediaError`.

WorkshopFailed              the work was not done, and its giver is not to blame
└── WorkInterrupted         nor is the work itself: done again it may well succeed
    └── WorkshopBusy        it was not even begun: too much is waiting already
"""

from media.processing.exceptions import MediaError
from media.processing.sandbox.protocol import Refused


class SandboxError(Exception):
    """`message` is fit for a client; what happened stands in the log."""

    def __init__(self, message: str = "The file could not be processed.") -> None:
        super().__init__(message)
        self.message = message


class JobInterrupted(SandboxError):
    pass


class SandboxBusy(JobInterrupted):
    def __init__(self) -> None:
        super().__init__("Too many files are being processed just now. Try again later.")


def took_too_long() -> SandboxError:
    return SandboxError("The file took too long to process.")


def was_closed() -> JobInterrupted:
    return JobInterrupted("The file could not be processed: the service is being stopped.")


def was_not_read() -> SandboxError:
    return SandboxError("The result was not read in time.")


def problem_of(refused: Refused) -> MediaError:
    """Of those that this process knows: a child names a class, and never what to import."""
    kinds = [MediaError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    known = {f"{kind.__module__}:{kind.__qualname__}": kind for kind in kinds}
    kind = known.get(refused.kind, MediaError)
    problem = kind.__new__(kind)  # those that always say the same take no words
    MediaError.__init__(problem, refused.message, code=refused.code)
    return problem
