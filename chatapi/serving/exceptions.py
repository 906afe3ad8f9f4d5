"""Why a process does not start."""


class CannotStart(Exception):
    """The reason why a process does not start, in one line."""
