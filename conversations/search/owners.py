"""Words of the index that say whose a document is, so that nobody's search reads what others have.

They only narrow what is looked at: each hit is checked against its conversation.
"""

from base64 import b32encode
from functools import lru_cache
from hashlib import sha256
from uuid import UUID

from accounts.ownership import Visibility
from accounts.permissions import Permission
from accounts.principal import Principal
from conversations.search.texts import SearchedConversation

_CODE_LENGTH, _OWNER_LENGTH = 4, 12
_OF_KEYS, _SHARED = "keys", "shared"


@lru_cache(10_000)
def workspace_code(workspace_id: UUID) -> str:
    """Return what each word of a workspace begins with in the index; few workspaces share one."""
    return _digest(workspace_id.hex)[:_CODE_LENGTH]


def owners_of(conversation: SearchedConversation) -> list[str]:
    """Return the words by which a conversation's documents are found, besides those that they say."""
    names = [_SHARED] if conversation.visibility == Visibility.WORKSPACE else []
    if conversation.api_key_id is None:
        names.append(f"user {conversation.user_id}")
    else:
        names.append(_OF_KEYS)
    words = [_owner(conversation.workspace_id, name) for name in names]
    if conversation.end_user:
        words.append(end_user_word(conversation.workspace_id, conversation.end_user))
    return words


def end_user_word(workspace_id: UUID, end_user: str) -> str:
    return _owner(workspace_id, f"end user {end_user}")


def owners_seen_by(who: Principal) -> list[str]:
    """Return the words of which documents that the caller may see have one: see `ownership.visible_to`."""
    if who.token_id is not None:
        return [end_user_word(who.workspace_id, who.end_user)]
    if who.key_id is not None:
        names = [_OF_KEYS]
    else:
        names = [f"user {who.user_id}", _SHARED]
        names += [_OF_KEYS] if who.may(Permission.HISTORY_OF_KEYS) else []
    return [_owner(who.workspace_id, name) for name in names]


@lru_cache(10_000)
def _owner(workspace_id: UUID, name: str) -> str:
    return _digest(f"{workspace_id.hex} {name}")[:_OWNER_LENGTH]


def _digest(text: str) -> str:
    return b32encode(sha256(text.encode()).digest()).decode().lower()
