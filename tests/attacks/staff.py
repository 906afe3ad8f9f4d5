"""Staff with one permission, who take all others by posting what their pages do not offer."""

from uuid import UUID

import httpx2
from django.contrib.auth.models import Permission

from accounts.models import ApiKey, User
from tests.attacks.checks import check
from tests.attacks.stage import Stage, submit

USERS, KEYS = "/admin/accounts/user", "/admin/accounts/apikey"
ADMIN = "admin@localhost"
LIMITS = dict.fromkeys(("requests_per_minute", "tokens_per_minute", "concurrent_streams"), "")


def make_oneself_superuser(stage: Stage) -> None:
    """Own the service: with the right to correct names, post `is_superuser` for oneself."""
    user, browser = stage.staff("view_user", "change_user")
    answer = _change(browser, user, is_superuser="on")
    user.refresh_from_db()
    check(not user.is_superuser, f"the post was answered with {answer.status_code}, and is a superuser's now")


def give_oneself_permissions(stage: Stage) -> None:
    """Do the same by all permissions instead."""
    user, browser = stage.staff("view_user", "change_user")
    every = [str(id) for id in Permission.objects.values_list("pk", flat=True)]
    answer = _change(browser, user, user_permissions=every)
    count = user.user_permissions.count()
    check(count <= 2, f"the post was answered with {answer.status_code}, and gave {count} permissions")


def make_another_superuser(stage: Stage) -> None:
    """Do the same for an accomplice."""
    _, browser = stage.staff("view_user", "change_user")
    accomplice = stage.newcomer("0").user
    answer = _change(browser, accomplice, is_staff="on", is_superuser="on")
    accomplice.refresh_from_db()
    check(not accomplice.is_superuser, f"the post was answered with {answer.status_code}, and worked")


def set_a_superusers_password(stage: Stage) -> None:
    """Do the same by signing in as the administrator, with a password of one's own."""
    admin = User.objects.get(email=ADMIN)
    _, browser = stage.staff("view_user", "change_user")
    path = f"{USERS}/{admin.pk}/password/"
    form = {"password1": "Taken-over-1", "password2": "Taken-over-1", "usable_password": "true"}
    answer = submit(browser, path, form)
    password = User.objects.get(pk=admin.pk).password
    User.objects.filter(pk=admin.pk).update(password=admin.password)
    check(password == admin.password, f"the post was answered with {answer.status_code}, and worked")


def take_a_superusers_address(stage: Stage) -> None:
    """Do the same, or lock the administrator out, by changing their account."""
    admin = User.objects.get(email=ADMIN)
    _, browser = stage.staff("view_user", "change_user")
    answer = _change(browser, admin, email="mine@example.com", is_active="")
    now = User.objects.get(pk=admin.pk)
    User.objects.filter(pk=admin.pk).update(email=ADMIN, is_active=True, is_superuser=True, is_staff=True)
    is_untouched = (now.email, now.is_active, now.is_superuser) == (ADMIN, True, True)
    came = f"{now.email}, active: {now.is_active}, superuser: {now.is_superuser}"
    check(is_untouched, f"the post was answered with {answer.status_code}: {came}")


def make_a_new_superuser(stage: Stage) -> None:
    """Do the same with the right to add users alone."""
    _, browser = stage.staff("view_user", "add_user", "change_user")
    email = "made-by-staff@example.com"
    password = {"usable_password": "true", "password1": "Made-by-staff-1", "password2": "Made-by-staff-1"}
    more = {"email": email, "is_staff": "on", "is_superuser": "on", "is_active": "on"}
    answer = submit(browser, f"{USERS}/add/", {**password, **more, "_save": "Save"})
    made = User.objects.filter(email=email, is_superuser=True).exists()
    check(not made, f"the post was answered with {answer.status_code}, and worked")


def make_a_key_of_another_workspace(stage: Stage) -> None:
    """Read and spend what is another workspace's: with the right to add keys, add one of theirs."""
    victim = stage.newcomer("0")
    _, browser = stage.staff("view_apikey", "add_apikey")
    form = {"workspace": str(victim.workspace.id), "user": str(victim.user.pk), "name": "mine"}
    _check_no_key(browser, form, victim.workspace.id)


def make_a_key_of_a_superuser(stage: Stage) -> None:
    """Do the same to the administrator."""
    admin = User.objects.get(email=ADMIN)
    workspace = admin.personal_workspace
    _, browser = stage.staff("view_apikey", "add_apikey", "change_apikey")
    form = {"workspace": str(workspace.pk), "user": str(admin.pk), "name": "mine"}
    _check_no_key(browser, form, workspace.pk)


def _check_no_key(browser: httpx2.Client, form: dict[str, str], workspace: UUID) -> None:
    keys = ApiKey.objects.filter(workspace=workspace)
    before = keys.count()
    times = {"expires_at_0": "", "expires_at_1": ""}
    answer = submit(browser, f"{KEYS}/add/", {**form, **times, **LIMITS, "_save": "Save"})
    check(keys.count() == before, f"the post was answered with {answer.status_code}, and made a key")


def _change(browser: httpx2.Client, user: User, **fields: object) -> httpx2.Response:
    """Post the form of a user's page, with these fields beside what it is."""
    shown: dict[str, object] = {"email": user.email, "first_name": "", "last_name": "", "is_active": "on"}
    if user.is_staff:
        shown["is_staff"] = "on"
    if user.is_superuser:
        shown["is_superuser"] = "on"
    form = {name: value for name, value in {**shown, **fields}.items() if value != ""}
    return submit(browser, f"{USERS}/{user.pk}/change/", {**form, "_save": "Save"})
