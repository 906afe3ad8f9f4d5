"""Admit: thread a call into its conversation and store what is new, many calls in one transaction."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from accounts.authentication import valid_keys
from billing.api_errors import api_error_of_billing
from billing.exceptions import BillingError
from billing.holds import Hold, HoldBatch
from conversations.concurrency_limits import ConcurrencyCheck
from conversations.digest_chain import digests, scope_of
from conversations.held_assets import hold_files
from conversations.models import Completion, Conversation, Message
from conversations.thread_lookup import Admission, ThreadPosition, position_by_name, positions_by_digest
from core.exceptions import ApiError, Conflict, InvalidApiKey
from core.ids import CONVERSATION, new_id, public
from core.sql import Row, insert_rows, update_rows
from core.values import Value
from engines import messages as engine_messages
from media.services import StoredFile, over_quota, quota_exceeded

TITLE_LENGTH = 80


__all__ = ["Admission", "Admitted", "Deferred", "admit_all"]


class Admitted(Value, frozen=True):
    """Where a call was stored. `history` is what the engine is to answer, all of it.

    `repeats` is the completion that the same idempotency key has started before: then nothing was
    stored or held, and there is nothing to run.
    """

    conversation_id: UUID
    prompt_id: UUID
    prompt_digest: str
    history: tuple[engine_messages.Message, ...]
    hold: Hold
    repeats: UUID | None = None


class Deferred(Value, frozen=True):
    """Not stored yet: another call of the same transaction has the place, as named by `claim`."""

    claim: tuple[UUID, str]


def admit_all(admissions: Sequence[Admission], books: HoldBatch) -> list[Admitted | Deferred | ApiError]:
    """Store these calls, as far as they do not touch the same conversation and can be paid. Runs inside the
    caller's transaction. Gives for each what became of it."""
    return _Batch(admissions, books).run()


class _Batch:
    """Reads a table once, decides call by call, writes a table once."""

    def __init__(self, admissions: Sequence[Admission], books: HoldBatch) -> None:
        self.admissions = admissions
        self.books = books
        self.claimed: set[tuple[UUID, str]] = set()
        self.conversations: list[Row] = []
        self.messages: list[Row] = []
        self.completions: list[Row] = []
        self.heads: list[tuple[Row, Row]] = []
        self.held: list[tuple[UUID, UUID, StoredFile]] = []

    def run(self) -> list[Admitted | Deferred | ApiError]:
        self.valid_keys = valid_keys({a.key_digest for a in self.admissions if a.key_digest})
        self.repeated = _completions_by_idempotency_key(self.admissions)
        self.places = positions_by_digest(self.admissions)
        self.streams = ConcurrencyCheck(self.admissions)
        self.over_quota = over_quota(
            [(a.principal.workspace_id, file) for a in self.admissions for file in a.files]
        )
        outcomes = [self._outcome(admission) for admission in self.admissions]
        insert_rows(Conversation, self.conversations)
        hold_files(self.held)
        insert_rows(Message, self.messages)
        insert_rows(Completion, self.completions)
        update_rows(Conversation, self.heads)
        return outcomes

    def _outcome(self, admission: Admission) -> Admitted | Deferred | ApiError:
        try:
            return self._admit(admission)
        except ApiError as refusal:
            return refusal

    def _admit(self, admission: Admission) -> Admitted | Deferred:
        if admission.key_digest and admission.key_digest not in self.valid_keys:
            raise InvalidApiKey()
        workspace_id = admission.principal.workspace_id
        if admission.idempotency_key:
            first = self.repeated.get((workspace_id, admission.idempotency_key))
            if first is not None:
                return _repetition(admission, first)
        self.streams.check(admission.principal)
        if admission.files and workspace_id in self.over_quota:
            raise quota_exceeded(param="messages")
        # claimed before anything is read for this call alone: many may wait for one conversation
        for name in (admission.idempotency_key, admission.conversation_id):
            if name and not self._claim((workspace_id, name)):
                return Deferred((workspace_id, name))
        place = position_by_name(admission) or self.places.get(admission.completion_id)
        if place is None:
            return self._begin(admission)
        claim = (workspace_id, public(CONVERSATION, place.conversation_id))
        if claim[1] != admission.conversation_id and not self._claim(claim):
            return Deferred(claim)
        return self._continue(admission, place)

    def _claim(self, claim: tuple[UUID, str]) -> bool:
        """False where another call of this batch has it already."""
        if claim in self.claimed:
            return False
        self.claimed.add(claim)
        return True

    def _begin(self, admission: Admission) -> Admitted:
        who = admission.principal
        scope = scope_of(who.workspace_id, who.key_id, who.user_id, admission.end_user)
        admitted = self._store(admission, ThreadPosition(new_id(), None, scope))
        self.conversations.append(
            {
                "id": admitted.conversation_id,
                "workspace": who.workspace_id,
                "api_key": who.key_id,
                "user": None if who.key_id else who.user_id,
                "end_user": admission.end_user,
                "scope": scope,
                "title": _title(admission.messages),
                "metadata": admission.metadata,
                "head": admitted.prompt_id,
                "created_at": admission.at,
                "updated_at": admission.at,
            }
        )
        return admitted

    def _continue(self, admission: Admission, place: ThreadPosition) -> Admitted:
        admitted = self._store(admission, place)
        moved = {"head": admitted.prompt_id, "updated_at": admission.at}
        self.heads.append(({"id": place.conversation_id}, moved))
        return admitted

    def _store(self, admission: Admission, place: ThreadPosition) -> Admitted:
        history = place.before + admission.messages
        hold = self._hold(admission, history)
        prompt_id, prompt_digest = place.parent_id, place.parent_digest
        fresh = admission.messages[place.known :]
        for message, digest in zip(fresh, digests(place.parent_digest, fresh), strict=True):
            row = _message_row(message, place.conversation_id, prompt_id, digest, admission.at)
            self.messages.append(row)
            prompt_id, prompt_digest = row["id"], digest
        if prompt_id is None:
            raise ValueError("a call without messages has no place")
        self.completions.append(_completion_row(admission, place.conversation_id, prompt_id))
        self.streams.add(admission.principal)
        workspace_id = admission.principal.workspace_id
        self.held += [(workspace_id, place.conversation_id, file) for file in admission.files]
        return Admitted(place.conversation_id, prompt_id, prompt_digest, history, hold)

    def _hold(self, admission: Admission, history: tuple[engine_messages.Message, ...]) -> Hold:
        try:
            return self.books.hold(admission.order, lambda: admission.bound(history))
        except BillingError as problem:
            raise api_error_of_billing(problem) from problem


def _completions_by_idempotency_key(
    admissions: Sequence[Admission],
) -> dict[tuple[UUID, str], Completion]:
    keyed = [admission for admission in admissions if admission.idempotency_key]
    if not keyed:
        return {}
    found = Completion.objects.filter(
        workspace_id__in={admission.principal.workspace_id for admission in keyed},
        idempotency_key__in={admission.idempotency_key for admission in keyed},
    )
    return {(row.workspace_id, row.idempotency_key or ""): row for row in found}


def _repetition(admission: Admission, first: Completion) -> Admitted:
    if first.body_digest != admission.body_digest:
        raise Conflict("This idempotency key was used for another request.", param="Idempotency-Key")
    nothing = Hold(admission.order, {}, 0)
    return Admitted(first.conversation_id, first.prompt_id, "", (), nothing, repeats=first.id)


def _title(messages: Sequence[engine_messages.Message]) -> str:
    said = next((message.text for message in messages if message.role == "user"), "")
    return " ".join(said[: 4 * TITLE_LENGTH].split())[:TITLE_LENGTH]


def _message_row(
    message: engine_messages.Message, conversation_id: UUID, parent_id: UUID | None, digest: str, at: datetime
) -> Row:
    return {
        "id": new_id(),
        "conversation": conversation_id,
        "parent": parent_id,
        "role": message.role,
        "parts": message.parts,
        "name": message.name or "",
        "tool_call_id": message.tool_call_id or "",
        "digest": digest,
        "created_at": at,
    }


def _completion_row(admission: Admission, conversation_id: UUID, prompt_id: UUID) -> Row:
    return {
        "id": admission.completion_id,
        "workspace": admission.principal.workspace_id,
        "api_key": admission.principal.key_id,
        "user": admission.principal.user_id,
        "conversation": conversation_id,
        "prompt": prompt_id,
        "process": admission.process_id,
        "dialect": admission.dialect,
        "model": admission.model,
        "idempotency_key": admission.idempotency_key,
        "body_digest": admission.body_digest,
        "request": admission.request,
        "created_at": admission.at,
    }
