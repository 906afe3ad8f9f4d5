"""Admission: thread calls into conversations and store what is new, many calls in one transaction."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from accounts.authentication import valid_keys
from billing.api_errors import billing_api_error
from billing.exceptions import BillingError
from billing.holds import Hold, HoldBatch
from conversations.admission_request import AdmissionRequest
from conversations.asset_holds import hold_files
from conversations.concurrency_limits import ConcurrencyCheck
from conversations.digest_chain import chain_digests, scope_of
from conversations.models import Completion, Conversation, Message
from conversations.thread_lookup import ThreadPosition, position_by_name, positions_by_digest
from core.bulk_sql import Row, insert_rows, update_rows
from core.exceptions import ApiError, Conflict, InvalidApiKey
from core.ids import CONVERSATION, format_id, new_id
from core.value import Value
from engines import messages as engine_messages
from media.services import StoredFile, quota_exceeded, workspaces_over_quota

TITLE_LENGTH = 80


class Admitted(Value, frozen=True):
    """Where a call was stored. `history` is everything that the engine is to answer.

    `repeats` is the completion that the same idempotency key started before; then nothing was stored or
    held, and there is nothing to run.
    """

    conversation_id: UUID
    prompt_id: UUID
    prompt_digest: str
    history: tuple[engine_messages.Message, ...]
    hold: Hold
    repeats: UUID | None = None


class Deferred(Value, frozen=True):
    """A call not stored yet: another call of the same transaction has its place, which `claim` names."""

    claim: tuple[UUID, str]


def admit_all(
    admissions: Sequence[AdmissionRequest], hold_batch: HoldBatch
) -> list[Admitted | Deferred | ApiError]:
    """Store the calls that can be paid for, one per conversation, and return each call's outcome.

    Runs inside the caller's transaction.
    """
    return _Batch(admissions, hold_batch).run()


class _Batch:
    """One batch: it reads each table once, decides call by call, and writes each table once."""

    def __init__(self, admissions: Sequence[AdmissionRequest], hold_batch: HoldBatch) -> None:
        self.admissions = admissions
        self.hold_batch = hold_batch
        self.claimed: set[tuple[UUID, str]] = set()
        self.conversations: list[Row] = []
        self.messages: list[Row] = []
        self.completions: list[Row] = []
        self.heads: list[tuple[Row, Row]] = []
        self.held_files: list[tuple[UUID, UUID, StoredFile]] = []

    def run(self) -> list[Admitted | Deferred | ApiError]:
        self.valid_keys = valid_keys({a.key_digest for a in self.admissions if a.key_digest})
        self.completions_by_key = _completions_by_idempotency_key(self.admissions)
        self.positions = positions_by_digest(self.admissions)
        self.concurrency = ConcurrencyCheck(self.admissions)
        self.over_quota = workspaces_over_quota(
            [(a.principal.workspace_id, file) for a in self.admissions for file in a.files]
        )
        outcomes = [self._outcome(admission) for admission in self.admissions]
        insert_rows(Conversation, self.conversations)
        hold_files(self.held_files)
        insert_rows(Message, self.messages)
        insert_rows(Completion, self.completions)
        update_rows(Conversation, self.heads)
        return outcomes

    def _outcome(self, admission: AdmissionRequest) -> Admitted | Deferred | ApiError:
        try:
            return self._admit(admission)
        except ApiError as refusal:
            return refusal

    def _admit(self, admission: AdmissionRequest) -> Admitted | Deferred:
        if admission.key_digest and admission.key_digest not in self.valid_keys:
            raise InvalidApiKey()
        workspace_id = admission.principal.workspace_id
        if admission.idempotency_key:
            first = self.completions_by_key.get((workspace_id, admission.idempotency_key))
            if first is not None:
                return _repeat_of(admission, first)
        self.concurrency.check(admission.principal)
        if admission.files and workspace_id in self.over_quota:
            raise quota_exceeded(param="messages")
        # claim before reading anything for this call alone: many may wait for one conversation
        for name in (admission.idempotency_key, admission.conversation_id):
            if name and not self._claim((workspace_id, name)):
                return Deferred((workspace_id, name))
        position = position_by_name(admission) or self.positions.get(admission.completion_id)
        if position is None:
            return self._start_conversation(admission)
        claim = (workspace_id, format_id(CONVERSATION, position.conversation_id))
        if claim[1] != admission.conversation_id and not self._claim(claim):
            return Deferred(claim)
        return self._continue_conversation(admission, position)

    def _claim(self, claim: tuple[UUID, str]) -> bool:
        """Claim a place; return False if another call of this batch already has it."""
        if claim in self.claimed:
            return False
        self.claimed.add(claim)
        return True

    def _start_conversation(self, admission: AdmissionRequest) -> Admitted:
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

    def _continue_conversation(self, admission: AdmissionRequest, position: ThreadPosition) -> Admitted:
        admitted = self._store(admission, position)
        changes = {"head": admitted.prompt_id, "updated_at": admission.at}
        self.heads.append(({"id": position.conversation_id}, changes))
        return admitted

    def _store(self, admission: AdmissionRequest, position: ThreadPosition) -> Admitted:
        history = position.earlier_messages + admission.messages
        hold = self._hold(admission, history)
        prompt_id, prompt_digest = position.parent_id, position.parent_digest
        new_messages = admission.messages[position.stored_count :]
        for message, digest in zip(
            new_messages, chain_digests(position.parent_digest, new_messages), strict=True
        ):
            row = _message_row(message, position.conversation_id, prompt_id, digest, admission.at)
            self.messages.append(row)
            prompt_id, prompt_digest = row["id"], digest
        if prompt_id is None:
            raise ValueError("a call without messages has no place")
        self.completions.append(_completion_row(admission, position.conversation_id, prompt_id))
        self.concurrency.add(admission.principal)
        workspace_id = admission.principal.workspace_id
        self.held_files += [(workspace_id, position.conversation_id, file) for file in admission.files]
        return Admitted(position.conversation_id, prompt_id, prompt_digest, history, hold)

    def _hold(self, admission: AdmissionRequest, history: tuple[engine_messages.Message, ...]) -> Hold:
        try:
            return self.hold_batch.hold(admission.charge_request, lambda: admission.bound(history))
        except BillingError as problem:
            raise billing_api_error(problem) from problem


def _completions_by_idempotency_key(
    admissions: Sequence[AdmissionRequest],
) -> dict[tuple[UUID, str], Completion]:
    keyed = [admission for admission in admissions if admission.idempotency_key]
    if not keyed:
        return {}
    found = Completion.objects.filter(
        workspace_id__in={admission.principal.workspace_id for admission in keyed},
        idempotency_key__in={admission.idempotency_key for admission in keyed},
    )
    return {(row.workspace_id, row.idempotency_key or ""): row for row in found}


def _repeat_of(admission: AdmissionRequest, first: Completion) -> Admitted:
    if first.body_digest != admission.body_digest:
        raise Conflict("This idempotency key was used for another request.", param="Idempotency-Key")
    no_hold = Hold(admission.charge_request, {}, 0)
    return Admitted(first.conversation_id, first.prompt_id, "", (), no_hold, repeats=first.id)


def _title(messages: Sequence[engine_messages.Message]) -> str:
    first_text = next((message.text for message in messages if message.role == "user"), "")
    return " ".join(first_text[: 4 * TITLE_LENGTH].split())[:TITLE_LENGTH]


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


def _completion_row(admission: AdmissionRequest, conversation_id: UUID, prompt_id: UUID) -> Row:
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
