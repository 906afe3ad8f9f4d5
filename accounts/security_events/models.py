"""The table of security events."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from core.compact_json_field import CompactJSONField
from core.ids import new_id

USER_AGENT_LENGTH = 200


class SecurityEvent(models.Model):
    """What happened to an account or a key. `triggers.py` beside this says what cannot be changed.

    `user` is whose account it is, `by` another user who did it, such as an operator. Both are empty once the
    user is deleted, and what else is personal goes with them: the ids that stay name nobody.
    """

    class Kind(models.TextChoices):
        SIGNED_IN = "signed_in"
        SIGN_IN_FAILED = "sign_in_failed"
        SIGNED_OUT = "signed_out"
        SIGN_IN_RESET = "sign_in_reset"
        SESSIONS_ENDED = "sessions_ended"
        SIGNED_UP = "signed_up"
        INVITED = "invited"
        SECOND_FACTOR_ADDED = "second_factor_added"
        SECOND_FACTOR_REMOVED = "second_factor_removed"
        RECOVERY_CODES_MADE = "recovery_codes_made"
        RECOVERY_CODE_USED = "recovery_code_used"
        PASSWORD_CHANGED = "password_changed"  # noqa: S105
        PASSWORD_RESET = "password_reset"  # noqa: S105
        EMAIL_CHANGED = "email_changed"
        KEY_CREATED = "key_created"
        KEY_CHANGED = "key_changed"
        KEY_ROLLED = "key_rolled"
        KEY_REVOKED = "key_revoked"
        KEY_DELETED = "key_deleted"
        KEY_USED_FROM_NEW_ADDRESS = "key_used_from_new_address"
        WORKSPACE_CREATED = "workspace_created"
        WORKSPACE_DELETED = "workspace_deleted"
        MEMBER_JOINED = "member_joined"
        MEMBER_LEFT = "member_left"
        ROLE_CHANGED = "role_changed"
        OWNERSHIP_HANDED_OVER = "ownership_handed_over"
        DATA_EXPORTED = "data_exported"
        ACCOUNT_DELETED = "account_deleted"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(max_length=40, choices=[(kind, kind) for kind in Kind.values])
    at = models.DateTimeField(default=timezone.now)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="security_events",
        db_index=False,  # the index that pages by user begins with it
    )
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    workspace_id = models.UUIDField(null=True)
    key_id = models.UUIDField(null=True)
    key_prefix = models.CharField(max_length=20, default="")
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=USER_AGENT_LENGTH, default="")
    details = CompactJSONField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["-at", "-id"], name="security_event_page"),
            models.Index(fields=["user", "-at", "-id"], name="security_event_user"),
            models.Index(fields=["kind", "-at", "-id"], name="security_event_kind"),
            models.Index(fields=["address", "-at", "-id"], name="security_event_address"),
            models.Index(fields=["key_prefix", "-at", "-id"], name="security_event_key"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.at:%Y-%m-%d %H:%M:%S}"


class KeyAddress(models.Model):
    """An address, or an IPv6 network, that an API key was used from."""

    api_key = models.ForeignKey("accounts.ApiKey", on_delete=models.CASCADE, related_name="addresses")
    address = models.GenericIPAddressField()
    first_used_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "key addresses"
        constraints = [
            models.UniqueConstraint(fields=["api_key", "address"], name="one_row_a_key_and_address"),
        ]

    def __str__(self) -> str:
        return self.address
