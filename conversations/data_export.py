"""What a user can take with them of the history, in the API's shapes."""

from collections.abc import Iterator
from typing import Any

from accounts.data_export import DataSubject, ExportedFile, in_batches, json_list, one_by_one
from conversations.api.conversation_serializers import ConversationSerializer
from conversations.api.serializers import ItemSerializer
from conversations.lists import shown_conversations
from conversations.models import Conversation, Message
from conversations.selectors import files_of, shown_messages
from media.data_export import exported_asset, without_addresses
from media.models import Asset


def export_history(who: DataSubject) -> Iterator[ExportedFile]:
    """Yield each conversation that is the user's or was made by the keys of their own workspace.

    Those that were deleted, and can still be restored, are theirs too.

    The files of those in shared workspaces come with them; `media` exports those of the own workspace.
    """
    show = ConversationSerializer(context={"running": {}, "shows_cost": True}).to_representation
    for conversation in one_by_one(shown_conversations().filter(who.owns())):
        head = show(conversation)
        name = f"conversations/{conversation.public_id}.json"
        yield ExportedFile(name, json_list(head, "items", _items(conversation)))
    for workspace_id in who.shared:
        mine = Conversation.objects.filter(workspace_id=workspace_id, user=who.user)
        held = Asset.objects.filter(conversations__conversation__in=mine.order_by().values("pk")).distinct()
        for asset in one_by_one(held, "sha256"):
            yield exported_asset(asset)


def _items(conversation: Conversation) -> Iterator[dict[str, Any]]:
    """Yield the messages of all branches, oldest first."""
    for batch in in_batches(shown_messages(Message.objects.filter(conversation=conversation))):
        files = files_of(conversation.workspace_id, conversation.pk, batch)
        show = ItemSerializer(context={"files": files}).to_representation
        for message in batch:
            yield without_addresses(show(message))
