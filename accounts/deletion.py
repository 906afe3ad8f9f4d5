"""Deleting users and workspaces, and everything that goes with them.

The usual way to remove a user is to deactivate them, which keeps what their team talked about. Apps register
what they keep for a workspace (`register_contents`), so that accounts need not know the apps.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from functools import partial
from uuid import UUID

from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.admin_log import forget_address
from accounts.models import ApiKey, Invitation, Membership, OutgoingMail, User, Workspace
from accounts.roles import Role
from accounts.security_events.recording import Kind, Origin, erase_personal_parts, record
from accounts.sign_in.user_sessions import end_sessions
from accounts.workspaces.invitations import revoke_all_made_by
from core.exceptions import Conflict, ServiceUnavailable
from core.ids import PROJECT, format_id
from core.value import Value


class WorkspaceContents(Value, frozen=True):
    """What an app keeps for workspaces.

    `count` returns how many there are of each thing, by its plural name. `delete` runs inside the deleting
    transaction, once before the workspace is locked and once after; `delete_after_commit` runs when the
    deletion is certain.
    """

    count: Callable[[Collection[UUID]], Mapping[str, int]]
    delete: Callable[[UUID], None] | None = None
    delete_after_commit: Callable[[UUID], None] | None = None


UNVERIFIED_DAYS = 7
"""How long somebody who signs up may take to show that the address is theirs."""

MET_A_CALL = {"40P01", "23503"}
"""PostgreSQL's codes for a deletion that met a call of the user's in a shared workspace.

Each waited for the other, or the call stored its conversation a moment before its key was deleted.
"""
DELETION_ATTEMPTS = 5

_contents: dict[str, WorkspaceContents] = {}


def register_contents(app: str, contents: WorkspaceContents) -> None:
    """Register an app when it is ready; contents are deleted in the order of INSTALLED_APPS."""
    _contents[app] = contents


_user_cleanups: dict[str, Callable[[int], None]] = {}


def register_user_cleanup(app: str, delete_after_commit: Callable[[int], None]) -> None:
    """Register what an app does once a user is certainly deleted, by their id: rows go by foreign keys."""
    _user_cleanups[app] = delete_after_commit


def delete_workspace(workspace: Workspace) -> None:
    """Delete a workspace with its members' keys, its whole history and, after the commit, its files."""
    workspace_id = workspace.pk
    with transaction.atomic():
        _delete_contents(workspace_id)
        Workspace.objects.select_for_update().filter(pk=workspace_id).first()
        _delete_contents(workspace_id)  # what was begun meanwhile
        workspace.delete()
        for contents in _contents.values():
            if contents.delete_after_commit is not None:
                transaction.on_commit(partial(contents.delete_after_commit, workspace_id))


def delete_user(user: User, *, origin: Origin | None = None) -> None:
    """Delete a user with their keys and memberships; conversations in shared workspaces stay.

    Of their security events only what names nobody stays.

    Their personal workspace is deleted too if nothing keeps it; otherwise Django raises `ProtectedError`.
    """
    with transaction.atomic():
        for workspace in Workspace.objects.filter(personal_of=user):
            if reasons_to_keep(workspace) is None:
                delete_workspace(workspace)
        erase_personal_parts(user)
        by_another = origin if origin and origin.user_id != user.pk else Origin()
        record(Kind.ACCOUNT_DELETED, origin=by_another, deleted=user.pk)
        forget_address(user)
        end_sessions(user)  # their data has the address
        OutgoingMail.objects.filter(recipient__iexact=user.email).delete()
        Invitation.objects.filter(email__iexact=user.email).delete()
        revoke_all_made_by(user)
        for delete_after_commit in _user_cleanups.values():
            transaction.on_commit(partial(delete_after_commit, user.pk))
        user.delete()


def delete_unverified_users() -> None:
    """Delete who signed up and never showed that the address is theirs: its owner may want it.

    Those whom an operator gave a key, a workspace or rights since then stay.
    """
    verified = EmailAddress.objects.filter(user=OuterRef("pk"), verified=True)
    unverified = EmailAddress.objects.filter(user=OuterRef("pk"), verified=False)
    keys = ApiKey.objects.filter(user=OuterRef("pk"))
    invited = Membership.objects.filter(user=OuterRef("pk")).exclude(workspace__personal_of=OuterRef("pk"))
    long_ago = timezone.now() - timedelta(days=UNVERIFIED_DAYS)
    users = User.objects.filter(
        Exists(unverified),
        ~Exists(verified),
        ~Exists(keys),
        ~Exists(invited),
        is_staff=False,
        is_superuser=False,
        last_login=None,
        date_joined__lt=long_ago,
    )
    for user in users.order_by("date_joined")[:1000]:
        delete_user(user)


def delete_own_account(user: User) -> None:
    """Delete a user who asks for it, as `delete_user` does, and their personal workspace whatever it holds.

    What was billed stays, with ids that name nobody. Does nothing if the user is gone already. Raises
    `Conflict` if others depend on the user.
    """
    delete_despite_calls(lambda: _delete_own_account(user), ApiKey.objects.filter(user=user))


def delete_despite_calls(delete: Callable[[], None], keys: QuerySet[ApiKey]) -> None:
    """Delete something while calls by these keys may run, in several attempts.

    The keys are revoked after the first that failed; what else it changed is undone.
    """
    for _ in range(DELETION_ATTEMPTS):
        try:
            delete()
        except (OperationalError, IntegrityError) as error:
            if getattr(error.__cause__, "sqlstate", None) not in MET_A_CALL:
                raise
            keys.filter(revoked_at=None).update(revoked_at=timezone.now())
        else:
            return
    raise ServiceUnavailable("What is to be deleted is still in use. Try again.")


def _delete_own_account(user: User) -> None:
    with transaction.atomic():
        check_may_leave(user)
        for workspace in Workspace.objects.filter(personal_of=user):
            delete_workspace(workspace)
        # Only now, since calls of the user hold rows of the workspace, and want the user's when they commit.
        present = _lock_with_dependents(user)
        if present is not None:
            check_may_leave(present)  # two who rely on each other may leave at once
            delete_user(present)


def _lock_with_dependents(user: User) -> User | None:
    """Lock the user, the workspaces they own, and the other superusers if they are one.

    Return the user as they are now; None if they are gone.
    """
    owned = Membership.objects.filter(user=user, role=Role.OWNER).values("workspace")
    workspaces = Workspace.objects.select_for_update(no_key=True).filter(pk__in=owned).order_by("pk")
    list(workspaces.values_list("pk"))
    who = Q(pk=user.pk) | Q(is_superuser=True) if user.is_superuser else Q(pk=user.pk)
    rows = User.objects.select_for_update(of=("self",)).filter(who).order_by("pk")
    return next((row for row in list(rows) if row.pk == user.pk), None)


def check_may_leave(user: User) -> None:
    """Raise `Conflict` if the service or a workspace would be left to nobody."""
    superusers = User.objects.filter(is_superuser=True, is_active=True)
    if user.is_superuser and user.is_active and not superusers.exclude(pk=user.pk).exists():
        raise Conflict(
            "You are the last active superuser: nobody could manage the service without you. "
            "Make somebody else a superuser first.",
            code="last_superuser",
        )
    names = [f"“{one.name}” ({format_id(PROJECT, one.pk)})" for one in dependent_workspaces(user)]
    if names:
        raise Conflict(
            f"You are the only owner of {', '.join(names)}. Hand it over to another member, or delete it; "
            "from a personal workspace, remove the others. Then try again.",
            code="only_owner",
        )


def dependent_workspaces(user: User) -> QuerySet[Workspace]:
    """Return the workspaces that would be left without an owner who can sign in.

    A user's personal workspace goes with them, so it is among these only if others are members of it.
    """
    members = Membership.objects.filter(workspace=OuterRef("pk"))
    others = members.exclude(user=user)
    other_owners = others.filter(role=Role.OWNER, user__is_active=True)
    return Workspace.objects.filter(
        Exists(members.filter(user=user, role=Role.OWNER)),
        Q(personal_of=user) & Exists(others) | Q(personal_of=None) & ~Exists(other_owners),
    ).order_by("pk")


def reasons_to_keep(workspace: Workspace) -> str | None:
    """Return, in words, why a personal workspace may not go with its user; None if it is empty."""
    others = Membership.objects.filter(workspace=workspace).exclude(user=workspace.personal_of)
    found = {**_count_contents([workspace.pk]), "other members": others.count()}
    parts = [f"{n} {name.removesuffix('s') if n == 1 else name}" for name, n in found.items() if n]
    return ", ".join(parts) or None


def has_contents(workspace_ids: Collection[UUID]) -> bool:
    """Tell whether anything is stored for these workspaces."""
    return any(_count_contents(workspace_ids).values())


def workspace_counts(workspace_ids: Collection[UUID]) -> dict[str, int]:
    """Count what would be deleted with these workspaces, by plural name."""
    return {
        "workspaces": len(workspace_ids),
        "memberships": Membership.objects.filter(workspace__in=workspace_ids).count(),
        "API keys": ApiKey.objects.filter(workspace__in=workspace_ids).count(),
        **_count_contents(workspace_ids),
    }


def user_counts(user_ids: Collection[int]) -> dict[str, int]:
    """Count what would be deleted with these users, besides personal workspaces that nothing keeps."""
    return {
        "users": len(user_ids),
        "memberships": Membership.objects.filter(user__in=user_ids).count(),
        "API keys": ApiKey.objects.filter(user__in=user_ids).count(),
        "log entries": LogEntry.objects.filter(user__in=user_ids).count(),
    }


def _delete_contents(workspace_id: UUID) -> None:
    for contents in _contents.values():
        if contents.delete is not None:
            contents.delete(workspace_id)


def _count_contents(workspace_ids: Collection[UUID]) -> dict[str, int]:
    return {
        name: count
        for contents in _contents.values()
        for name, count in contents.count(workspace_ids).items()
    }
