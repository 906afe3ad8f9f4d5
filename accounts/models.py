"""Users, the workspaces they belong to, and the keys and tokens of a workspace."""

from functools import partial
from typing import Any, ClassVar

from allauth.account.models import EmailAddress
from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.db import models, transaction
from django.utils import timezone

from accounts.permissions import DEFAULT_SCOPES, TOKEN_SCOPES, Scope, format_scopes, parse_scopes
from accounts.roles import Role
from accounts.security_events.models import KeyAddress, SecurityEvent
from core.ids import new_id

__all__ = [
    "END_USER_LENGTH",
    "LIMITS",
    "ApiKey",
    "EndUserToken",
    "Invitation",
    "KeyAddress",
    "KeySecret",
    "Limited",
    "Membership",
    "Role",
    "SecurityEvent",
    "User",
    "UserManager",
    "Workspace",
]


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a user whom an operator knows: the address counts as verified."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        with transaction.atomic(using=self._db):
            user.save(using=self._db)
            EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        if "\x00" in (username or ""):  # which PostgreSQL refuses to look for
            raise User.DoesNotExist
        return self.get(email__iexact=username)


class User(AbstractUser):
    username = None  # type: ignore[assignment]
    email = models.EmailField(unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.email


LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrent_streams")
END_USER_LENGTH = 512
"""How long the name of an end user may be."""


class Limited(models.Model):
    """A model that may have limits of its own, named in `LIMITS`."""

    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_minute = models.PositiveIntegerField(null=True, blank=True)
    concurrent_streams = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        abstract = True


class Workspace(Limited):
    """The tenant that members, keys, conversations, and media belong to."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=200)
    personal_of = models.OneToOneField(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="personal_workspace"
    )
    members = models.ManyToManyField(User, through="Membership", related_name="workspaces")
    media_quota = models.PositiveBigIntegerField(
        "media quota (bytes)", null=True, blank=True, help_text="Empty: CHATAPI_MEDIA_QUOTA_BYTES."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.MEMBER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "user"], name="one_membership_a_workspace"),
        ]

    def __str__(self) -> str:
        return f"user {self.user_id} in workspace {self.workspace_id}"


class ApiKey(Limited):
    """What a program acts for a workspace with. Its secrets are shown once and stored as digests.

    `prefix` is what the newest of its secrets begins with, `scopes` the names with spaces between.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="api_keys")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100, blank=True)
    prefix = models.CharField(max_length=20, editable=False)
    scopes = models.CharField(max_length=200, default=partial(format_scopes, DEFAULT_SCOPES))
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="To the minute.")

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.prefix}…"

    @property
    def state(self) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        is_over = self.expires_at is not None and self.expires_at <= timezone.now()
        return "expired" if is_over else "active"

    @property
    def scope_list(self) -> tuple[Scope, ...]:
        return parse_scopes(self.scopes)


class KeySecret(models.Model):
    """One of the secrets of a key: its newest, or one before that is still valid for a while."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="secrets")
    prefix = models.CharField(max_length=20, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return f"{self.prefix}…"


class EndUserToken(models.Model):
    """What a browser acts with for one end user of a key: less than the key, and not for long.

    `workspace` is the key's, which never changes: here it lets an index find what any of its keys made.
    `spending_limit` is in nano-USD; empty: no limit beside the key's.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="end_user_tokens", db_index=False
    )
    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="tokens", db_index=False)
    end_user = models.CharField(max_length=END_USER_LENGTH)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.CharField(max_length=200, default=partial(format_scopes, TOKEN_SCOPES))
    spending_limit = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(db_index=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["workspace", "-id"], name="token_of_workspace"),
            models.Index(fields=["workspace", "end_user", "-id"], name="token_of_end_user"),
            models.Index(fields=["key", "-id"], name="token_of_key"),
        ]

    def __str__(self) -> str:
        return f"for {self.end_user}"

    @property
    def scope_list(self) -> tuple[Scope, ...]:
        return parse_scopes(self.scopes)


class Invitation(models.Model):
    """Lets one person in by a link that expires, works once and can be revoked.

    Without a workspace it only lets them sign up. An empty `email`: whoever has the link may accept.
    `accepted_by` joins the workspace once their address is verified.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = models.EmailField(blank=True)
    workspace = models.ForeignKey(
        Workspace, null=True, blank=True, on_delete=models.CASCADE, related_name="invitations"
    )
    role = models.CharField(max_length=10, choices=Role, default=Role.MEMBER)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, editable=False, related_name="+"
    )
    accepted_by = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return self.email or "by link"


class SignInAttempts(models.Model):
    """Failed attempts to sign in, of an account, a browser or an address: a digest says of which."""

    key = models.CharField(max_length=64, primary_key=True)
    failures = models.PositiveIntegerField()
    allowed_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "sign-in attempts"

    def __str__(self) -> str:
        return self.key


class OutgoingMail(models.Model):
    """A mail to be sent, with its text encrypted: it may hold a link that lets somebody in."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    recipient = models.EmailField()
    content = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now, db_index=True)

    def __str__(self) -> str:
        return self.recipient


class CacheEntry(models.Model):
    """A row of Django's database cache, whose table all processes share."""

    cache_key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    expires = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "cache entries"

    def __str__(self) -> str:
        return self.cache_key
