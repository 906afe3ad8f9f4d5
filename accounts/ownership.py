"""Whose is what in a workspace: the one rule by which conversations, files and the like are seen and changed.

What somebody makes in a session is theirs; other members see it once it is shared. What keys make is seen by
all keys of the workspace, by who manages these, and what they make for one end user by that user's tokens.
"""

from functools import reduce
from operator import or_
from typing import ClassVar, NamedTuple

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts.models import END_USER_LENGTH, ApiKey, Workspace
from accounts.permissions import Permission
from accounts.principal import Principal
from core.exceptions import Forbidden
from core.ids import new_id


class Visibility(models.TextChoices):
    PRIVATE = "private"
    WORKSPACE = "workspace"


class AttributedModel(models.Model):
    """A row of a workspace, with the user and the key that it came from."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="%(class)ss", db_index=False
    )
    # No constraint: what a key made stays known as that when the key is deleted, and nothing has to be
    # searched then.
    api_key = models.ForeignKey(
        ApiKey,
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        related_name="%(class)ss",
        db_index=False,
        db_constraint=False,
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
    )

    class Meta:
        abstract = True


class OwnedModel(AttributedModel):
    """A row with an owner: `user`, if it was made in a session; else the workspace's keys, and `end_user`."""

    end_user = models.CharField(
        max_length=END_USER_LENGTH, blank=True, help_text="Whom the client says it asks for."
    )
    visibility = models.CharField(
        max_length=9, choices=Visibility, default=Visibility.PRIVATE, help_text="To other members."
    )

    class Meta:
        abstract = True
        # partial, so that what is stored writes one of them at most
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["workspace", "end_user", "-id"],
                name="%(class)s_of_end_user",
                condition=~Q(end_user=""),
            ),
            models.Index(
                fields=["workspace", "user", "-id"],
                name="%(class)s_of_member",
                condition=Q(user__isnull=False),
            ),
            models.Index(
                fields=["workspace", "-id"],
                name="%(class)s_shared",
                condition=Q(visibility=Visibility.WORKSPACE),
            ),
        ]

    def require_writable(self, who: Principal) -> None:
        """Raise `Forbidden` for who sees this and may not change it."""
        if not _may_write(who, self):
            raise Forbidden(
                "This was shared with you. Only whoever made it may change, continue or delete it.",
                code="not_yours",
            )

    def share(self, who: Principal, visibility: Visibility) -> None:
        """Show this to the workspace's members, or no longer. Raises `Forbidden`.

        An end user's browser may not: members would see what anybody sends them.
        """
        self.require_shareable(who)
        type(self)._default_manager.filter(pk=self.pk).update(visibility=visibility)
        self.visibility = visibility

    def require_shareable(self, who: Principal) -> None:
        """Raise `Forbidden` for who may not choose who sees this."""
        self.require_writable(who)
        if who.token_id is not None:
            raise Forbidden(
                "An end-user token shares nothing with the members of the workspace. Have the server do it.",
                param="visibility",
                code="insufficient_permissions",
            )


class WayOfSeeing(NamedTuple):
    """One of the reasons for which rows are seen; a wide one may be that of most rows of a workspace."""

    condition: Q
    is_wide: bool = False


def visible_to(who: Principal, through: str = "") -> Q:
    """Return the condition on what is visible; `through` leads from the rows to the owned ones (`file__`)."""
    ways = (way.condition for way in _seen_by(who, through))
    return _in_workspace(who, through) & reduce(or_, ways)


def made_by(who: Principal) -> Q:
    """Return the condition on what is the caller's own among rows that nobody shares or manages.

    They are rows with `api_key`, `user` and `end_user`, where those of a key have the key's user too.
    """
    if who.key_id is None and who.token_id is None:
        return _in_workspace(who, "") & Q(api_key=None, user_id=who.user_id)
    return visible_to(who)


def ways_of_seeing(who: Principal) -> list[WayOfSeeing]:
    """Return the ways of seeing rows, of which each visible row is seen in one at least.

    There is an index for each, so that a list that asks for one after the other reads nothing in vain.
    """
    return [way._replace(condition=_in_workspace(who, "") & way.condition) for way in _seen_by(who, "")]


def _in_workspace(who: Principal, through: str) -> Q:
    return Q(**{f"{through}workspace_id": who.workspace_id})


def _seen_by(who: Principal, through: str) -> list[WayOfSeeing]:
    def having(**columns: object) -> Q:
        return Q(**{through + name: value for name, value in columns.items()})

    if who.token_id is not None:
        # no token is for nobody; SQLite takes the index of end users only where the condition says so
        return [WayOfSeeing(having(api_key__isnull=False, end_user=who.end_user) & ~having(end_user=""))]
    of_keys = WayOfSeeing(having(api_key__isnull=False), is_wide=True)
    if who.key_id is not None:
        return [of_keys]
    ways = [WayOfSeeing(having(user_id=who.user_id)), WayOfSeeing(having(visibility=Visibility.WORKSPACE))]
    return [*ways, of_keys] if who.may(Permission.HISTORY_OF_KEYS) else ways


def _may_write(who: Principal, row: OwnedModel) -> bool:
    if row.workspace_id != who.workspace_id:
        return False
    if who.token_id is not None:
        return row.api_key_id is not None and row.end_user == who.end_user
    if who.key_id is not None:
        return row.api_key_id is not None
    if row.api_key_id is None:
        return row.user_id == who.user_id
    return who.may(Permission.HISTORY_OF_KEYS)
