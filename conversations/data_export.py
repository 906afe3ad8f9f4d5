"""What a user can take with them of the history, in the API's shapes."""

from collections.abc import Iterator
from typing import Any

from accounts.data_export import DataSubject, ExportedFile, in_batches, json_list, one_by_one
from conversations.api.conversation_serializers import ConversationSerializer
from conversations.api.item_presenter import present_items
from conversations.item_selectors import shown_messages
from conversations.items import items_of
from conversations.lists import shown_conversations
from conversations.models import Conversation, Message
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
    """Yield the items of all branches, oldest first."""
    for batch in in_batches(shown_messages(Message.objects.filter(conversation=conversation))):
        items = [item for message in batch for item in items_of(message)]
        shown = present_items(conversation, items, who=None, address=None)
        yield from map(without_addresses, shown)
