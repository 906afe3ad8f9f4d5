"""The check that each tool result answers a call that was made."""

from collections.abc import Collection, Sequence

from core.exceptions import BadRequest
from engines.messages import Message


def check_tool_results(
    messages: Sequence[Message],
    known_call_ids: Collection[str] = (),
    positions: Sequence[int] = (),
    path: str = "messages[{}].tool_call_id",
) -> None:
    """Refuse a tool message whose call is neither before it nor in `known_call_ids`.

    `positions` gives the messages' indexes in the client's list, in case some were merged
    (`CompletionRequest.positions`), and `path` how an error names one. Raises `BadRequest`.
    """
    known = set(known_call_ids)
    for index, message in enumerate(messages):
        known.update(call.id for call in message.tool_calls)
        if message.role == "tool" and message.tool_call_id not in known:
            param = path.format(positions[index] if positions else index)
            reason = "no message before it has a tool call with this id"
            raise BadRequest(f"Invalid value for '{param}': {reason}.", param=param)
