"""What former members left in a workspace: nobody else may see or delete it, and it counts for the quota."""

from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts.models import Membership
from accounts.ownership import Visibility
from accounts.workspaces.authority import lock_workspace
from conversations.deletion import delete_conversations
from conversations.models import Conversation
from media.models import File


def delete_left_contents(workspace_id: UUID, *, shared: bool = False) -> dict[str, int]:
    """Delete the conversations and files of who left, and of deleted accounts; return how many there were.

    Keys' own stay, and what was shared stays unless that is asked for. The sweep deletes the bytes of files.
    """
    with transaction.atomic():
        lock_workspace(workspace_id)  # nobody comes back meanwhile
        conversations = Conversation.objects.filter(_left(workspace_id, shared=shared))
        files = File.objects.filter(_left(workspace_id, shared=shared))
        counts = {"conversations": conversations.count(), "files": files.count()}
        delete_conversations(conversations)
        files.delete()
    return counts


def count_left_contents(workspace_id: UUID, *, shared: bool = False) -> dict[str, int]:
    left = _left(workspace_id, shared=shared)
    return {
        "conversations": Conversation.objects.filter(left).count(),
        "files": File.objects.filter(left).count(),
    }


def _left(workspace_id: UUID, *, shared: bool) -> Q:
    members = Membership.objects.filter(workspace=workspace_id).values("user")
    of_nobody = Q(user=None) | ~Q(user__in=members)
    left = Q(workspace=workspace_id, api_key_id=None) & of_nobody
    return left if shared else left & Q(visibility=Visibility.PRIVATE)
