"""Deleting records of calls: what is old, or too much; and those of a workspace or a user that are gone.

All of it in short transactions, beside the calls; it may run twice, and die anywhere.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from chatapi.models import RequestCount, RequestRecord
from core.ids import first_id_at

BATCH = 2000


def delete_old_requests(now: datetime) -> int:
    """Delete the records that are older than CHATAPI_REQUESTS_KEPT_DAYS, and beyond CHATAPI_REQUESTS_KEPT.

    Returns how many.
    """
    before = now - timedelta(days=settings.CHATAPI_REQUESTS_KEPT_DAYS)
    RequestCount.objects.filter(hour__lt=before).delete()
    deleted = _delete(RequestRecord.objects.filter(pk__lt=first_id_at(before)))
    newest_first = RequestRecord.objects.order_by("-pk").values_list("pk", flat=True)
    beyond = newest_first[settings.CHATAPI_REQUESTS_KEPT :].first()
    return deleted + (_delete(RequestRecord.objects.filter(pk__lte=beyond)) if beyond else 0)


def delete_requests_of_workspace(workspace_id: UUID) -> None:
    _delete(RequestRecord.objects.filter(workspace=workspace_id))


def delete_requests_of_user(user_id: int) -> None:
    """Delete what a user called in sessions; what their keys called is the workspace's."""
    # without an index: nobody else asks for it
    ids = list(RequestRecord.objects.filter(user=user_id).values_list("pk", flat=True))
    for start in range(0, len(ids), BATCH):
        RequestRecord.objects.filter(pk__in=ids[start : start + BATCH]).delete()


def _delete(rows: QuerySet[RequestRecord]) -> int:
    deleted = 0
    while True:
        ids = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
        if not ids:
            return deleted
        deleted += rows.filter(pk__range=(ids[0], ids[-1])).delete()[0]
