"""A run, as its viewers see it."""

from chatapi.completions.completion_request import CompletionRequest, OnDisconnect
from chatapi.completions.runs.event_log import EventLog
from chatapi.completions.runs.pump import Pump
from engines.answers import AnswerHead
from engines.model_spec import ModelSpec


class Run:
    """A completion that was started or joined, whose log can be viewed."""

    def __init__(
        self,
        head: AnswerHead,
        conversation_id: str,
        log: EventLog,
        pump: Pump | None = None,
        on_disconnect: OnDisconnect = "continue",
    ) -> None:
        self.head = head
        self.conversation_id = conversation_id
        self.log = log
        self.pump = pump
        self._on_disconnect = on_disconnect

    def viewer_left(self) -> None:
        """Cancel the run when the last viewer disconnects and the policy is `cancel`."""
        if self.pump is not None and self._on_disconnect == "cancel" and not self.log.viewers:
            self.pump.cancel()


def disconnect_policy(request: CompletionRequest, spec: ModelSpec, *, may_return: bool) -> OnDisconnect:
    """Return what happens to the run when all clients have disconnected.

    On `/v1`, clients that disconnect want to stop, unless they hold an idempotency key to come back with. The
    product's own frontend reads on later.
    """
    by_dialect: OnDisconnect = "cancel" if request.dialect == "openai" and not may_return else "continue"
    return request.on_disconnect or spec.on_disconnect or by_dialect
