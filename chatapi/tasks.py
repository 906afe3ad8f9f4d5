"""Background work on the history, exports, and records of calls.

Thin: each task calls one function, and may run twice or die anywhere.
"""

from celery import shared_task
from django.utils import timezone

from chatapi.completions import billing_audit, recovery
from chatapi.data_export import exports
from chatapi.request_log import deletion

RECONCILE_SECONDS = 3 * 3600
"""Long enough for millions of charges."""
EXPORT_SECONDS = 2100
"""An archive takes less. While more wait, the task that comes next goes on with them."""


@shared_task
def settle_interrupted() -> None:
    recovery.settle_interrupted()


@shared_task(soft_time_limit=RECONCILE_SECONDS, time_limit=RECONCILE_SECONDS + 60)
def reconcile() -> None:
    billing_audit.reconcile()


@shared_task(acks_late=False, soft_time_limit=EXPORT_SECONDS, time_limit=EXPORT_SECONDS + 60)
def make_data_exports() -> None:
    exports.make_due_exports()


@shared_task(acks_late=False)
def delete_expired_exports() -> None:
    exports.delete_expired_exports()


@shared_task(acks_late=False)
def delete_old_requests() -> None:
    deletion.delete_old_requests(timezone.now())
