"""What can go wrong with a workshop. What is wrong with a file is a `media.problems.MediaProblem`.

WorkshopFailed              the work was not done, and its giver is not to blame
└── WorkshopBusy            it was not even begun: too much is waiting already
"""


class WorkshopFailed(Exception):
    """`message` is fit for a client; what happened stands in the log."""

    def __init__(self, message: str = "The file could not be processed.") -> None:
        super().__init__(message)
        self.message = message


class WorkshopBusy(WorkshopFailed):
    def __init__(self) -> None:
        super().__init__("Too many files are being processed just now. Try again later.")


def took_too_long() -> WorkshopFailed:
    return WorkshopFailed("The file took too long to process.")


def was_closed() -> WorkshopFailed:
    return WorkshopFailed("The file could not be processed: the service is being stopped.")


def was_not_read() -> WorkshopFailed:
    return WorkshopFailed("The result was not read in time.")
