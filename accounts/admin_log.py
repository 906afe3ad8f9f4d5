"""The admin's log, which tells operators what was changed; a deleted user's address does not stay in it."""

import json
import re

from django.contrib.admin.models import LogEntry
from django.db.models import Q

from accounts.models import User
from core.ids import format_user_id


def forget_address(user: User) -> None:
    """Replace a user's address by their id, in the names of what was changed and in what was said of it."""
    forms = {user.email, json.dumps(user.email)[1:-1]}  # Django stores changes as JSON in ASCII
    mentions = Q()
    for form in forms:
        mentions |= Q(object_repr__icontains=form) | Q(change_message__icontains=form)
    whole = "|".join(rf"(?<![\w.+-]){re.escape(form)}(?![\w-])" for form in forms)
    pattern = re.compile(whole, re.IGNORECASE)
    entries = list(LogEntry.objects.filter(mentions))
    for entry in entries:
        entry.object_repr = pattern.sub(format_user_id(user.pk), entry.object_repr)
        entry.change_message = pattern.sub(format_user_id(user.pk), entry.change_message)
    LogEntry.objects.bulk_update(entries, ["object_repr", "change_message"], batch_size=500)
