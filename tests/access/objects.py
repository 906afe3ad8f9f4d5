"""The objects that the routes are about: the team's, a stranger's, and ids of what never was."""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from accounts.models import ApiKey, Invitation
from accounts.roles import Role
from accounts.workspaces import invitations
from billing import ledger
from billing.models import Transaction
from billing.statements import create_missing_statements
from chatapi.models import DataExport, RequestRecord
from conversations.models import Completion
from core.ids import END_USER_TOKEN, INVITATION, KEY, MESSAGE, PROJECT, TRANSACTION, format_id, format_user_id
from tests.access.actors import (
    ADMIN,
    MEMBER,
    OTHER,
    OWNER,
    STRANGER,
    Team,
)
from tests.access.rows import ANOTHERS, FOR_XAVIER, IN_THE_TEAM, OWN, SHARED
from tests.support.billed_months import USD, create_wallet, day, frozen_clock
from tests.support.history_rows import add_message, completion_of, conversation_of, uploaded
from tests.support.people import Person

A_STRANGERS, ANOTHER_KEYS, NEVER = "a stranger's", "of another key", "never was"
Ids = dict[str, str]
"""The ids of objects by what the objects are."""


def ids_of(team: Team, kind: str) -> Ids:
    """Make the objects that an argument of this name can be about; return their ids."""
    ids = MAKERS[kind](team)
    never = NEVER_BEEN.get(kind) or re.sub("[0-9a-f]{32}$", "0" * 32, next(iter(ids.values())))
    assert never not in ids.values()
    return {**ids, NEVER: never}


NEVER_BEEN = {
    "user_id": format_user_id(10**9),
    "model_id": "never/was",
    "name": "guides/never.md",
    "month": "1999-01",
    "conversation_id/item_id": f"conv_{0:032x}/msg_{0:032x}",
}


def _columns(team: Team) -> dict[str, tuple[Person, dict[str, Any]]]:
    """Return who makes each of the owned objects, and what says whose it is."""
    owner, member, stranger = (team.people[name] for name in (OWNER, MEMBER, STRANGER))
    by_member = {"api_key_id": None, "user": member.user}
    return {
        OWN: (member, by_member),
        SHARED: (member, {**by_member, "visibility": "workspace"}),
        FOR_XAVIER: (owner, {"api_key_id": owner.key_id, "user": None, "end_user": "xavier"}),
        A_STRANGERS: (stranger, {"api_key_id": stranger.key_id, "user": None, "end_user": "xavier"}),
    }


def _exchanges(team: Team) -> dict[str, Completion]:
    made: dict[str, Completion] = {}
    for whose, (who, columns) in _columns(team).items():
        asked = add_message(conversation_of(who, title=whose, **columns), "user", "Hello?")
        made[whose] = completion_of(who, asked)
        add_message(asked.conversation, "assistant", "Hello.", after=asked, completion=made[whose], choice=0)
    return made


def _conversations(team: Team) -> Ids:
    return {whose: made.stored_conversation.public_id for whose, made in _exchanges(team).items()}


def _items(team: Team) -> Ids:
    return {
        whose: f"{conversation.public_id}/{format_id(MESSAGE, conversation.head_id)}"
        for whose, made in _exchanges(team).items()
        if (conversation := made.stored_conversation).head_id is not None
    }


def _completions(team: Team) -> Ids:
    return {whose: made.public_id for whose, made in _exchanges(team).items()}


def _files(team: Team) -> Ids:
    return {
        whose: uploaded(who.workspace, b"Hello.", **columns).public_id
        for whose, (who, columns) in _columns(team).items()
    }


def _exports(team: Team) -> Ids:
    people = {OWN: MEMBER, ANOTHERS: OTHER, A_STRANGERS: STRANGER}
    return {
        whose: DataExport.objects.create(user=team.people[name].user).public_id
        for whose, name in people.items()
    }


def _projects(team: Team) -> Ids:
    return {
        IN_THE_TEAM: team.project,
        A_STRANGERS: format_id(PROJECT, team.people[STRANGER].workspace.pk),
    }


def _users(team: Team) -> Ids:
    people = {IN_THE_TEAM: OTHER, A_STRANGERS: STRANGER}
    return {whose: format_user_id(team.people[name].user.pk) for whose, name in people.items()}


def _invitations(team: Team) -> Ids:
    return {
        whose: format_id(INVITATION, _invitation(team.people[name])[0].pk)
        for whose, name in ((IN_THE_TEAM, OWNER), (A_STRANGERS, STRANGER))
    }


def _invitation(who: Person) -> tuple[Invitation, str]:
    return invitations.invite("", who.user, workspace=who.workspace, role=Role.MEMBER)


def _keys(team: Team) -> Ids:
    """Return keys that can do no more than manage the workspace, so that any managing key may end them."""
    people = {IN_THE_TEAM: MEMBER, A_STRANGERS: STRANGER}
    keys = {whose: team.people[name].key_id for whose, name in people.items()}
    ids = {}
    for whose, used in keys.items():
        own = ApiKey.objects.get(pk=used)
        other = ApiKey.objects.create(workspace=own.workspace, user=own.user, scopes="members")
        ids[whose] = format_id(KEY, other.pk)
    return ids


def _tokens(team: Team) -> Ids:
    return {
        whose: format_id(END_USER_TOKEN, team.token(team.people[name].key_id, "xavier").pk)
        for whose, name in ((IN_THE_TEAM, ADMIN), (A_STRANGERS, STRANGER))
    }


def _tokens_of_keys(team: Team) -> Ids:
    tokens, keys = _tokens(team), {IN_THE_TEAM: ADMIN, ANOTHER_KEYS: OWNER, A_STRANGERS: STRANGER}
    tokens[ANOTHER_KEYS] = tokens[IN_THE_TEAM]
    return {
        whose: f"{format_id(KEY, team.people[name].key_id)}/{tokens[whose]}" for whose, name in keys.items()
    }


def _models(team: Team) -> Ids:
    return {"served": "scripted"}


def _transactions(team: Team) -> Ids:
    ids: Ids = {}
    for whose, name in ((IN_THE_TEAM, OWNER), (A_STRANGERS, STRANGER)):
        who = team.people[name]
        create_wallet(who)
        with frozen_clock(day(2)):
            ledger.top_up(who.workspace.id, USD, reason="Invoice 7", by="treasurer@example.com")
        ids[whose] = format_id(TRANSACTION, Transaction.objects.latest("id").pk)
    return ids


def _months(team: Team) -> Ids:
    create_wallet(team.people[OWNER])
    with frozen_clock(day(1, month=2)):
        create_missing_statements()
    return {IN_THE_TEAM: "2026-01"}


def _guides(team: Team) -> Ids:
    return {"served": "guides/billing.md"}


def _requests(team: Team) -> Ids:
    rows = {
        whose: RequestRecord.objects.create(
            id=UUID(int=number),  # of long ago: for one of just now it is waited
            workspace=who.workspace,
            milliseconds=1,
            **{n: v for n, v in columns.items() if n != "visibility"},
        )
        for number, (whose, (who, columns)) in enumerate(_columns(team).items(), 1)
        if whose != SHARED
    }
    return {whose: row.public_id for whose, row in rows.items()}


MAKERS: dict[str, Callable[[Team], Ids]] = {
    "conversation_id": _conversations,
    "conversation_id/item_id": _items,
    "completion_id": _completions,
    "file_id": _files,
    "export_id": _exports,
    "request_id": _requests,
    "project_id": _projects,
    "user_id": _users,
    "invite_id": _invitations,
    "key_id": _keys,
    "token_id": _tokens,
    "key_id/token_id": _tokens_of_keys,
    "model_id": _models,
    "transaction_id": _transactions,
    "month": _months,
    "name": _guides,
}


def filled_in(body: Any, team: Team) -> Any:
    """Return a row's body with the team's own ids in the place of their names."""
    if body is None:
        return None
    names = _Names(team)
    return {
        name: value.format_map(names) if isinstance(value, str) else value for name, value in body.items()
    }


class _Names(dict[str, str]):
    def __init__(self, team: Team) -> None:
        self._team = team

    def __missing__(self, name: str) -> str:
        if name == "admin":
            return format_user_id(self._team.people[ADMIN].user.pk)
        assert name == "invitation"
        return _invitation(self._team.people[OWNER])[1]
