"""Admission: thread runs into conversations and store what is new, many runs in one transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import structs

from accounts.revocations import valid_credentials
from billing.api_errors import billing_api_error
from billing.exceptions import BillingError, UnaffordableBeside
from billing.holds import ChargeRequest, Hold, HoldBatch
from billing.tariffs import Bound
from conversations.asset_holds import hold_files
from conversations.completion_request import non_default_fields
from conversations.concurrency_limits import ConcurrencyCheck
from conversations.digest_chain import chain_digests
from conversations.exceptions import NotStored
from conversations.labels import label_rows
from conversations.models import (
    FIRST_WORDS_LENGTH,
    Completion,
    CompletionLabel,
    Conversation,
    ConversationLabel,
    Message,
)
from conversations.stored_run import Admission, StoredRun, UnrecognizedSound
from conversations.thread_lookup import ThreadPosition, position_by_name, positions_by_digest
from core.bulk_sql import Increase, Row, insert_rows, update_rows
from core.exceptions import ApiError, Conflict, InsufficientQuota, InvalidApiKey
from core.ids import CONVERSATION, format_id, new_id
from core.value import Value
from engines import messages as engine_messages
from media.cleanup import postpone_cleanup
from media.models import Requester
from media.services import StoredFile, quota_exceeded, register_files, workspaces_over_quota


class Deferred(Value, frozen=True):
    """A run not stored yet: another run of the same transaction has its place, which `claim` names."""

    claim: tuple[UUID, str]


def admit_all(runs: Sequence[StoredRun], hold_batch: HoldBatch) -> list[Admission | Deferred | ApiError]:
    """Store the runs that can be paid for, one per conversation, and return each one's outcome.

    Happens inside the caller's transaction.
    """
    return _Batch(runs, hold_batch).admit_all()


class _Batch:
    """One batch: it reads each table once, decides run by run, and writes each table once."""

    def __init__(self, runs: Sequence[StoredRun], hold_batch: HoldBatch) -> None:
        self.runs = runs
        self.hold_batch = hold_batch
        self.claimed: set[tuple[UUID, str]] = set()
        self.conversations: list[Row] = []
        self.messages: list[Row] = []
        self.completions: list[Row] = []
        self.conversation_labels: list[Row] = []
        self.completion_labels: list[Row] = []
        self.heads: list[tuple[Row, Row]] = []
        self.held_files: list[tuple[UUID, UUID, StoredFile]] = []

    def admit_all(self) -> list[Admission | Deferred | ApiError]:
        self.valid_credentials = valid_credentials(run.caller for run in self.runs)
        self.completions_by_key = _completions_by_idempotency_key(self.runs)
        self.positions = positions_by_digest(self.runs)
        self.concurrency = ConcurrencyCheck(self.runs)
        self.over_quota = workspaces_over_quota(
            [(run.workspace_id, file) for run in self.runs for file in run.files]
        )
        outcomes = [self._outcome(run) for run in self.runs]
        insert_rows(Conversation, self.conversations)
        insert_rows(Message, self.messages)
        insert_rows(Completion, self.completions)
        insert_rows(ConversationLabel, self.conversation_labels)
        insert_rows(CompletionLabel, self.completion_labels)
        update_rows(Conversation, self.heads)
        hold_files(self.held_files)  # last: whoever releases these files has the conversation locked
        return outcomes

    def _outcome(self, run: StoredRun) -> Admission | Deferred | ApiError:
        try:
            return self._admit(run)
        except ApiError as refusal:
            return refusal

    def _admit(self, run: StoredRun) -> Admission | Deferred:
        workspace_id, conversation_id = run.workspace_id, run.request.conversation_id
        if run.caller.secret_digest and run.caller.secret_digest not in self.valid_credentials:
            raise InvalidApiKey(is_token=run.principal.token_id is not None)
        if run.idempotency_key:
            first = self.completions_by_key.get((workspace_id, run.idempotency_key))
            if first is not None:
                return _repeat_of(run, first)
        self.concurrency.check(run.principal)
        if run.files and workspace_id in self.over_quota:
            raise quota_exceeded(param="messages")
        # claim before reading anything for this run alone: many may wait for one conversation
        for name in (run.idempotency_key, conversation_id):
            if name and not self._claim((workspace_id, name)):
                return Deferred((workspace_id, name))
        position = position_by_name(run) or self.positions.get(run.id)
        if not run.request.is_stored:
            return self._admit_unstored(run, position)
        if position is None:
            return self._start_conversation(run)
        claim = (workspace_id, format_id(CONVERSATION, position.conversation_id))
        if claim[1] != conversation_id and not self._claim(claim):
            return Deferred(claim)
        return self._continue_conversation(run, position)

    def _claim(self, claim: tuple[UUID, str]) -> bool:
        """Claim a place; return False if another run of this batch already has it."""
        if claim in self.claimed:
            return False
        self.claimed.add(claim)
        return True

    def _start_conversation(self, run: StoredRun) -> Admission:
        who, request = run.principal, run.request
        position = ThreadPosition(new_id(), None, run.scope, needs_title=True)
        admission = self._store(run, position)
        self.conversation_labels += label_rows(
            "conversation", position.conversation_id, who.workspace_id, request.metadata
        )
        self.conversations.append(
            {
                "id": position.conversation_id,
                "workspace": who.workspace_id,
                "api_key": who.key_id,
                "user": who.owner_id,
                "end_user": request.end_user,
                "scope": position.parent_digest,
                "title": first_words(request.messages),
                "metadata": request.metadata,
                "message_count": len(request.messages),
                "head": admission.prompt_id,
                "last_completion": run.id,
                "created_at": run.at,
                "updated_at": run.at,
            }
        )
        return admission

    def _continue_conversation(self, run: StoredRun, position: ThreadPosition) -> Admission:
        admission = self._store(run, position)
        added = len(run.request.messages) - position.stored_count
        changes: dict[str, Any] = {
            "head": admission.prompt_id,
            "updated_at": run.at,
            "message_count": Increase(added),
            "last_completion": run.id,
        }
        self.heads.append(({"id": position.conversation_id}, changes))
        if position.needs_title:
            # a client may have chosen one meanwhile
            untitled = {"title": "", "titled_by": Conversation.TitledBy.FIRST_WORDS.value}
            title = {"title": first_words(run.request.messages)}
            self.heads.append(({"id": position.conversation_id, **untitled}, title))
        return admission

    def _admit_unstored(self, run: StoredRun, position: ThreadPosition | None) -> Admission:
        """Admit a run of which nothing is kept but that there was one, and what it cost."""
        history = (position.earlier_messages if position else ()) + run.request.messages
        run.read_history(history)
        hold = self._hold(run)
        self.completions.append(_completion_row(run))
        self.concurrency.add(run.principal)
        if run.files:  # while its answer is made, they are there like those of an upload that nothing holds
            register_files((run.workspace_id, file) for file in self._requested(run))
            postpone_cleanup(run.workspace_id, [file.blob.sha256 for file in run.files])
        return Admission(history, hold)

    def _store(self, run: StoredRun, position: ThreadPosition) -> Admission:
        history = position.earlier_messages + run.request.messages
        run.read_history(history)
        hold = self._hold(run)
        prompt_id, prompt_digest = position.parent_id, position.parent_digest
        new_messages = run.request.messages[position.stored_count :]
        for message, digest in zip(
            new_messages, chain_digests(position.parent_digest, new_messages), strict=True
        ):
            row = _message_row(message, position.conversation_id, prompt_id, digest, run.at)
            self.messages.append(row)
            prompt_id, prompt_digest = row["id"], digest
        if prompt_id is None:
            raise ValueError("a call without messages has no place")
        admission = Admission(
            history,
            hold,
            position.conversation_id,
            prompt_id,
            prompt_digest,
            first_answer=new_id(),
            head_before=None if new_messages else position.head_id,
            gives_title=position.needs_title,
        )
        self.completions.append(_completion_row(run, admission))
        self.completion_labels += label_rows("completion", run.id, run.workspace_id, run.request.metadata)
        self.concurrency.add(run.principal)
        self.held_files += [
            (run.workspace_id, position.conversation_id, file) for file in self._requested(run)
        ]
        return admission

    def _requested(self, run: StoredRun) -> list[StoredFile]:
        requester = Requester.of(run.principal) if run.files else None
        return [structs.replace(file, requester=requester) for file in run.files]

    def _hold(self, run: StoredRun) -> Hold:
        sounds: Sequence[UnrecognizedSound] = ()
        beside = 0
        try:
            if run.recognition_request and not self.hold_batch.is_free(run.recognition_request):
                sounds = run.unrecognized_sounds()
                beside = sum(self._recognition_cost(run.recognition_request, sound) for sound in sounds)
            return self.hold_batch.hold(run.charge_request, run.bound, beside)
        except UnaffordableBeside as problem:
            param = next((sound.param for sound in sounds if sound.param), None)
            raise InsufficientQuota(str(problem), param=param) from problem
        except BillingError as problem:
            raise billing_api_error(problem) from problem

    def _recognition_cost(self, request: ChargeRequest, sound: UnrecognizedSound) -> int:
        return self.hold_batch.max_cost(request, lambda: Bound(seconds=sound.seconds))


def _completions_by_idempotency_key(
    runs: Sequence[StoredRun],
) -> dict[tuple[UUID, str], Completion]:
    keyed = [run for run in runs if run.idempotency_key]
    if not keyed:
        return {}
    found = Completion.objects.select_related("conversation").filter(
        workspace_id__in={run.workspace_id for run in keyed},
        idempotency_key__in={run.idempotency_key for run in keyed},
    )
    return {(row.workspace_id, row.idempotency_key or ""): row for row in found}


def _repeat_of(run: StoredRun, first: Completion) -> Admission:
    if first.body_digest != run.body_digest:
        raise Conflict("This idempotency key was used for another request.", param="Idempotency-Key")
    is_deleted = first.conversation is not None and first.conversation.deleted_at is not None
    is_unstored = first.conversation is None and first.state != Completion.State.IN_PROGRESS
    if is_deleted or is_unstored:
        raise NotStored
    return Admission((), Hold(run.charge_request, {}, 0), repeats=first.id)


def first_words(messages: Sequence[engine_messages.Message]) -> str:
    """Return a title: the first words that a user said."""
    first_text = next((message.text for message in messages if message.role == "user"), "")
    return " ".join(first_text[: 4 * FIRST_WORDS_LENGTH].split())[:FIRST_WORDS_LENGTH]


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


def _completion_row(run: StoredRun, place: Admission | None = None) -> Row:
    """Return the row of a run; without a place it has no words of its request."""
    return {
        "id": run.id,
        "workspace": run.workspace_id,
        "api_key": run.principal.key_id,
        "user": run.principal.user_id,
        "end_user": run.request.end_user,
        "conversation": place and place.conversation_id,
        "prompt": place and place.prompt_id,
        "first_answer": place and place.first_answer,
        "head_before": place and place.head_before,
        "process": run.process_id,
        "dialect": run.request.dialect,
        "model": run.model,
        "idempotency_key": run.idempotency_key,
        "body_digest": run.body_digest,
        "request": non_default_fields(run.request) if place else {},
        "metadata": run.request.metadata if place else {},
        "created_at": run.at,
    }
