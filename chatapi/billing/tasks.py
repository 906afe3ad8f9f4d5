"""Background work on money. Thin: each task calls one verb, and may run twice or die anywhere."""

from celery import shared_task

from chatapi.billing import posting


@shared_task
def post_settled() -> None:
    posting.post_settled()
