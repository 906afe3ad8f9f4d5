"""`DELETE /v1/me`: a person goes with all they own; the books stay whole, and name nobody."""

import dataclasses
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.db import connection
from django.test import Client

from accounts.keys.services import create_api_key
from accounts.models import ApiKey, Membership, User, Workspace
from accounts.services import personal_workspace
from billing.models import Charge, Entry, Transaction, Wallet
from conversations.models import Completion, Conversation, Message
from media.models import Asset
from media.storage.operations import exists
from tests.support.concurrent_calls import at_once
from tests.support.history_rows import add_message, conversation_of, create_exchange, store_held_file
from tests.support.killed_process import kill_where_it_stalls
from tests.support.leaving import read_until
from tests.support.people import Person, person, signed_in
from tests.support.priced_usage import add_credit, assert_ledger_adds_up
from tests.support.running_server import Server, chat_body, wait_until

SECRET = "the treasure lies under the third oak"


def delete_me(browser: Client, confirm: str, **more: Any) -> Any:
    return browser.delete("/v1/me", {"confirm": confirm}, "application/json", **more)


def tables_with(text: str) -> set[str]:
    """The tables in which any column holds this text."""
    found = set()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            columns = [one.name for one in connection.introspection.get_table_description(cursor, table)]
            quote = connection.ops.quote_name
            conditions = " OR ".join(f"CAST({quote(column)} AS TEXT) LIKE %s" for column in columns)
            cursor.execute(
                f"SELECT 1 FROM {quote(table)} WHERE {conditions} LIMIT 1", [f"%{text}%"] * len(columns)
            )
            if cursor.fetchone():
                found.add(table)
    return found


def ledger_rows() -> list[list[tuple[Any, ...]]]:
    models = (Charge, Transaction, Entry, Wallet)
    return [list(model._default_manager.order_by("pk").values_list()) for model in models]


# --- what goes, and what stays ------------------------------------------------------------------------


def test_alice_goes_with_all_she_owns_and_the_ledger_stays_whole(server: Server, alice: Person) -> None:
    add_credit(alice, 10**9)
    with server.client(alice) as client:
        for store in (True, False):
            body = chat_body(SECRET, model="priced", store=store)
            assert client.post("/v1/chat/completions", json=body).status_code == 200
    server.until_idle()
    blob = store_held_file(conversation_of(alice), b"a picture", "image/png", "thumbnail")
    [asset] = Asset.objects.all()
    assert_ledger_adds_up()
    books = ledger_rows()
    browser = signed_in(alice.user)

    answer = delete_me(browser, "Alice@example.com")

    assert (answer.status_code, answer["cache-control"]) == (200, "no-store")
    assert answer.json() == {"id": f"user-{alice.user.pk}", "object": "user.deleted", "deleted": True}
    assert [model.objects.count() for model in (User, Workspace, ApiKey, Membership)] == [0, 0, 0, 0]
    assert [model.objects.count() for model in (Conversation, Message, Completion, Asset)] == [0, 0, 0, 0]
    assert blob.size
    assert not exists(asset.storage_name)
    assert ledger_rows() == books
    assert [charge.user_id for charge in Charge.objects.all()] == [alice.user.pk] * 2
    assert_ledger_adds_up()
    call_command("verify_ledger")
    assert tables_with("alice@example.com") == tables_with(SECRET) == set()
    for gone in (browser.get("/v1/me"), Client().get("/v1/me", headers=alice.headers)):
        assert gone.status_code == 401


def test_the_admins_log_no_longer_names_her(alice: Person, client: Client) -> None:
    """It also tells of Malice, whose address ends like Alice's."""
    malice = person("malice@example.com")
    root = User.objects.create_superuser("root@example.com", "a good password")
    client.force_login(root)
    client.post(f"/admin/accounts/user/{malice.user.pk}/password/", {})
    for who in (alice.user, malice.user):
        LogEntry.objects.log_actions(root.pk, [who], 2, [{"changed": {"object": f"{who.email}, in person"}}])

    assert delete_me(signed_in(alice.user), "alice@example.com").status_code == 200

    hers, others = LogEntry.objects.order_by("pk")
    assert hers.object_repr == f"user-{alice.user.pk}"
    assert "alice" not in hers.change_message
    assert (others.object_repr, "malice@example.com" in others.change_message) == ("malice@example.com", True)
    assert "django_admin_log" not in tables_with("'alice@example.com'")


def test_what_bob_said_in_alices_workspace_stays_there(alice: Person, bob: Person) -> None:
    told = create_exchange(bob, "Bob's own question")
    Conversation.objects.update(user=bob.user, api_key=None)
    own = personal_workspace(bob.user)
    spoken = conversation_of(dataclasses.replace(bob, workspace=own))
    add_message(spoken, "user", SECRET)

    assert delete_me(signed_in(bob.user), "bob@example.com").status_code == 200

    kept = Conversation.objects.get()
    assert (kept, kept.user, kept.workspace) == (told.conversation, None, alice.workspace)
    assert Completion.objects.get().user is None
    assert not Workspace.objects.filter(pk=own.pk).exists()
    assert [one.user for one in Membership.objects.filter(workspace=alice.workspace)] == [alice.user]
    assert tables_with("bob@example.com") == tables_with(SECRET) == set()


def test_an_address_may_be_used_again_by_a_new_user_who_finds_nothing(alice: Person) -> None:
    create_exchange(alice)
    delete_me(signed_in(alice.user), "alice@example.com")

    again = person("alice@example.com")

    assert again.user.pk != alice.user.pk
    assert again.workspace.pk != alice.workspace.pk
    assert signed_in(again.user).get("/v1/conversations").json()["data"] == []


def test_a_second_deletion_finds_nobody(alice: Person) -> None:
    browser = signed_in(alice.user)
    assert delete_me(browser, "alice@example.com").status_code == 200
    assert delete_me(browser, "alice@example.com").status_code == 401


# --- who may not, and how ------------------------------------------------------------------------------


def test_a_key_cannot_delete_its_user(client: Client, alice: Person) -> None:
    answer = delete_me(client, "alice@example.com", headers=alice.headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "session_required")
    assert User.objects.exists()


def test_nobody_deletes_nobody(client: Client, alice: Person) -> None:
    assert delete_me(client, "alice@example.com").status_code == 401
    assert User.objects.exists()


@pytest.mark.parametrize(
    "body",
    ["null", "{}", "[]", '"alice@example.com"', '{"confirm": 1}', '{"confirm": "charlie@example.com"}'],
)
def test_a_deletion_is_confirmed_by_ones_own_address(alice: Person, charlie: Person, body: str) -> None:
    answer = signed_in(alice.user).delete("/v1/me", body, "application/json")

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "confirm")
    assert User.objects.count() == 2


def test_who_signed_in_long_ago_proves_again_who_they_are(alice: Person) -> None:
    answer = delete_me(signed_in(alice.user, seconds_ago=3600), "alice@example.com")

    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "reauthentication_required"
    assert User.objects.filter(pk=alice.user.pk).exists()


def test_the_last_active_superuser_stays(alice: Person) -> None:
    User.objects.filter(pk=alice.user.pk).update(is_superuser=True, is_staff=True)
    retired = User.objects.create_superuser("retired@example.com", is_active=False)

    refused = delete_me(signed_in(alice.user), "alice@example.com")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "last_superuser")

    User.objects.filter(pk=retired.pk).update(is_active=True)
    assert delete_me(signed_in(alice.user), "alice@example.com").status_code == 200


def test_the_only_owner_of_a_workspace_with_others_stays(alice: Person, charlie: Person) -> None:
    team = Workspace.objects.create(name="The team")
    Membership.objects.create(workspace=team, user=alice.user, role="owner")
    hers = create_exchange(alice)
    assert delete_me(signed_in(person("dana@example.com", team).user), "dana@example.com").status_code == 200
    theirs = Membership.objects.create(workspace=team, user=charlie.user)

    refused = delete_me(signed_in(alice.user), "alice@example.com")

    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (409, "only_owner")
    assert f"“The team” (proj_{team.pk.hex})" in error["message"]
    assert Completion.objects.get() == hers

    theirs.role = "owner"
    theirs.save()
    assert delete_me(signed_in(alice.user), "alice@example.com").status_code == 200
    assert Workspace.objects.filter(pk=team.pk).exists()


def test_ones_own_workspace_is_not_deleted_with_what_others_have_there(alice: Person, bob: Person) -> None:
    Membership.objects.filter(user=bob.user, workspace=alice.workspace).update(role="owner")
    create_exchange(bob)

    refused = delete_me(signed_in(alice.user), "alice@example.com")

    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "only_owner")
    assert "alice@example.com's workspace" in refused.json()["error"]["message"]
    assert Completion.objects.exists()


# --- what runs meanwhile --------------------------------------------------------------------------------


def test_running_answers_end_with_the_account_and_are_billed_exactly(server: Server, alice: Person) -> None:
    """One came with her key, the other from the browser in which she deletes her account."""
    add_credit(alice, 10**9)
    token = {"x-csrftoken": "t" * 32}
    cookies = {"sessionid": signed_in(alice.user).cookies["sessionid"].value, "csrftoken": "t" * 32}
    body = chat_body(f"{SECRET} [[text: begun]] [[stall]]", stream=True) | {"model": "priced"}
    with server.client(alice) as by_key, server.client(None, **token) as browser:
        browser.cookies.update(cookies)
        with (
            by_key.stream("POST", "/chat/completions", json=body) as first,
            browser.stream("POST", "/chat/completions", json=body) as second,
        ):
            answers = [first.iter_text(), second.iter_text()]
            for answer in answers:
                read_until(answer, "begun")
            confirmed = {"confirm": "alice@example.com"}
            assert browser.request("DELETE", "/v1/me", json=confirmed).status_code == 200
            ends = ["".join(answer) for answer in answers]
    wait_until(lambda: server.is_idle)

    assert ["invalid_api_key" in ends[0], "session_ended" in ends[1]] == [True, True]
    charges = Charge.objects.all()
    assert {charge.end for charge in charges} == {"cancelled"}
    assert all(charge.cost for charge in charges)
    assert_ledger_adds_up()
    assert Wallet.objects.get().balance == 10**9 - sum(charge.cost or 0 for charge in charges)
    assert not Completion.objects.exists()
    assert tables_with(SECRET) == tables_with("alice@example.com") == set()


def test_a_deletion_that_is_killed_has_deleted_nothing(transactional_db: None, alice: Person) -> None:
    create_exchange(alice)
    add_credit(alice, 10**9)
    kill_where_it_stalls(f"""
from accounts.deletion import WorkspaceContents, delete_own_account, register_contents
from accounts.models import User
register_contents("stalling", WorkspaceContents(lambda ids: {{}}, delete=stall))
delete_own_account(User.objects.get(pk={alice.user.pk}))
""")
    assert [model.objects.count() for model in (User, Conversation, Message, Completion)] == [1, 1, 2, 1]

    assert delete_me(signed_in(alice.user), "alice@example.com").status_code == 200
    assert [model.objects.count() for model in (User, Conversation, Message, Completion)] == [0, 0, 0, 0]
    assert_ledger_adds_up()


# --- several at once ----------------------------------------------------------------------------------


def test_two_deletions_at_once_delete_once(transactional_db: None, alice: Person) -> None:
    create_exchange(alice)
    browsers = [signed_in(alice.user) for _ in range(4)]

    answers = at_once(*(lambda one=one: delete_me(one, "alice@example.com") for one in browsers))

    assert {answer.status_code for answer in answers} <= {200, 401}
    assert 200 in {answer.status_code for answer in answers}
    assert not User.objects.exists()
    assert not Conversation.objects.exists()


def test_of_two_last_superusers_who_leave_at_once_one_stays(
    transactional_db: None, alice: Person, charlie: Person
) -> None:
    User.objects.update(is_superuser=True)
    browsers = [(signed_in(one.user), one.user.email) for one in (alice, charlie)]

    answers = at_once(*(lambda one=one: delete_me(*one) for one in browsers))

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert User.objects.count() == 1


def test_a_key_made_for_a_shared_workspace_goes_with_its_user(alice: Person, bob: Person) -> None:
    create_api_key(alice.workspace, bob.user, name="another")
    delete_me(signed_in(bob.user), "bob@example.com")
    assert [key.user for key in ApiKey.objects.all()] == [alice.user]
