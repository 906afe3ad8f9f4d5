"""What the history refuses."""

from core.exceptions import Conflict


class NotStored(Conflict):
    """An answer that is asked for again by its idempotency key, but of which nothing was kept."""

    code = "not_stored"

    def __init__(self) -> None:
        super().__init__(
            "The answer to this idempotency key was not kept ('store': false, or it was deleted), so that it "
            "cannot be given again.",
            param="Idempotency-Key",
        )
