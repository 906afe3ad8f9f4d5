"""Reading records of calls."""

from django.db.models import Q

from accounts.ownership import made_by
from accounts.permissions import Permission
from accounts.principal import Principal
from chatapi.models import RequestRecord
from chatapi.request_log.writer import call_recorder
from core.exceptions import NotFound
from core.ids import REQUEST, parse_id

FLUSH_SECONDS = 2.0
"""How long whoever asks for a record waits until those that wait are written."""


def get_request(who: Principal, public_id: str) -> RequestRecord:
    """Return the record of a call that is the caller's to see, also of one that ended just now.

    Raises `NotFound` for any other.
    """
    id = parse_id(REQUEST, public_id)
    if id is not None:
        rows = RequestRecord.objects.filter(_visible_to(who), pk=id)
        found = rows.first()
        if found is None and call_recorder.has(id):
            call_recorder.flush(FLUSH_SECONDS)
            found = rows.first()
        if found is not None:
            return found
    raise NotFound("There is no record of such a request.", param="request_id")


def _visible_to(who: Principal) -> Q:
    """Return the condition on a key's or token's, as for all it makes; in a session, on one's own.

    Who may see what keys made, sees in a session what they called.
    """
    if who.key_id is None and who.may(Permission.HISTORY_OF_KEYS):
        return made_by(who) | Q(workspace_id=who.workspace_id, api_key__isnull=False)
    return made_by(who)
