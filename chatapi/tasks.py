"""Background work on the history. Thin: each task calls one function, and may run twice or die anywhere."""

from celery import shared_task

from chatapi.completions import billing_audit, recovery

RECONCILE_SECONDS = 3 * 3600
"""Long enough for millions of charges."""


@shared_task
def settle_interrupted() -> None:
    recovery.settle_interrupted()


@shared_task(soft_time_limit=RECONCILE_SECONDS, time_limit=RECONCILE_SECONDS + 60)
def reconcile() -> None:
    billing_audit.reconcile()
