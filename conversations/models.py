"""The stored history: conversations, their trees of messages, and the completions that grew them."""

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import END_USER_LENGTH
from accounts.ownership import AttributedModel, OwnedModel, Visibility
from conversations.parts_field import PartsField
from conversations.search.words_field import WordsField
from core.compact_json_field import CompactJSONField
from core.ids import COMPLETION, CONVERSATION, MESSAGE, derive_id, format_id, new_id
from media.models import Asset

# Foreign keys have no index of their own if a composite index begins with them, or if only the rare
# deletion of a user would read it: every completion writes every index.


TITLE_LENGTH = 200
FIRST_WORDS_LENGTH = 80
"""Of a title that no client gave."""
PREVIEW_LENGTH = 200


class Conversation(OwnedModel):
    """One conversation of one end user. `head` is the newest message of the branch that is shown.

    What lists show of it is counted along with each completion: `message_count` messages of all branches that
    were not deleted, `cost` in nano-USD, `preview`, the first words of the answer that ended last.
    """

    class TitledBy(models.TextChoices):
        FIRST_WORDS = "first_words"
        MODEL = "model"
        CLIENT = "client"

    scope = models.CharField(max_length=64, editable=False, help_text="Where its digest chain begins.")
    title = models.CharField(max_length=TITLE_LENGTH, blank=True)
    titled_by = models.CharField(max_length=11, choices=TitledBy, default=TitledBy.FIRST_WORDS)
    metadata = CompactJSONField(default=dict, blank=True)
    tags = CompactJSONField(default=list, blank=True)
    pinned = models.BooleanField(default=False)
    archived = models.BooleanField(default=False)
    message_count = models.PositiveIntegerField(default=0, editable=False)
    cost = models.BigIntegerField(default=0, editable=False, help_text="Nano-USD of all its completions.")
    preview = models.CharField(max_length=PREVIEW_LENGTH, blank=True, editable=False)
    # No constraint and no index: it moves twice per completion, and SQLite would search all conversations
    # for each message stored while a conversation waits for its head. Messages are deleted only with
    # their whole conversation.
    head = models.ForeignKey(
        "Message",
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # like `head`: no constraint, no index
    last_completion = models.ForeignKey(
        "Completion",
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Until it is purged, it can be restored."
    )

    class Meta:
        # one for each way to see conversations (`ownership.visible_to`), in the order of their lists
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["workspace", "-id"], name="conversation_page"),
            models.Index(
                fields=["workspace", "-updated_at", "-id"],
                name="conversation_of_keys",
                condition=Q(api_key__isnull=False),
            ),
            models.Index(
                fields=["workspace", "end_user", "-updated_at", "-id"],
                name="conversation_of_end_user",
                condition=~Q(end_user=""),
            ),
            models.Index(
                fields=["workspace", "user", "-updated_at", "-id"],
                name="conversation_of_member",
                condition=Q(user__isnull=False),
            ),
            models.Index(
                fields=["workspace", "-updated_at", "-id"],
                name="conversation_shared",
                condition=Q(visibility=Visibility.WORKSPACE),
            ),
            models.Index(
                fields=["deleted_at"], name="conversation_deleted", condition=Q(deleted_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.title or self.public_id

    @property
    def public_id(self) -> str:
        return format_id(CONVERSATION, self.id)


class ConversationLabel(models.Model):
    """A tag or a pair of metadata by which a conversation is found: the index of what it holds itself."""

    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="labels", db_index=False
    )
    digest = models.UUIDField(editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["conversation", "digest"], name="one_label_a_conversation")
        ]
        indexes: ClassVar = [models.Index(fields=["digest", "conversation"], name="conversation_label")]

    def __str__(self) -> str:
        return f"{self.digest} of {self.conversation_id}"


class Message(models.Model):
    """One message. `parent` forms the tree; `digest` chains its content onto its ancestors'.

    A deleted one is emptied and stays as a mark, since its digest is in those of all that follow: it has no
    parts, is not shown, and is sent to no model.
    """

    class Role(models.TextChoices):
        SYSTEM = "system"
        USER = "user"
        ASSISTANT = "assistant"
        TOOL = "tool"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="children", db_index=False
    )
    role = models.CharField(max_length=10, choices=Role)
    parts = PartsField()
    name = models.TextField(blank=True)
    tool_call_id = models.TextField(blank=True)
    digest = models.CharField(max_length=64, editable=False)
    completion = models.ForeignKey(
        "Completion", null=True, blank=True, on_delete=models.SET_NULL, related_name="answers", db_index=False
    )
    choice = models.PositiveSmallIntegerField(null=True, blank=True)
    finish_reason = models.CharField(max_length=20, blank=True)
    logprobs = CompactJSONField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    emptied_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["conversation", "id"], name="message_page"),
            models.Index(fields=["conversation"], name="message_root", condition=Q(parent__isnull=True)),
            models.Index(fields=["parent", "id"], name="message_children"),
            models.Index(fields=["digest"], name="message_digest"),
            models.Index(fields=["-id"], name="message_of_tool", condition=Q(role="tool")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["completion", "choice"], name="one_answer_a_choice"),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.public_id}"

    @property
    def public_id(self) -> str:
        return format_id(MESSAGE, self.id)


class HoldsOfConversations(models.Manager["ConversationAsset"]):
    def get_queryset(self) -> models.QuerySet["ConversationAsset"]:
        return super().get_queryset().filter(conversation__deleted_at=None)


class ConversationAsset(models.Model):
    """A conversation's hold on a file, which is kept while anything holds it."""

    id = models.UUIDField(primary_key=True, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="media")
    asset = models.ForeignKey(Asset, on_delete=models.RESTRICT, related_name="conversations")

    objects = models.Manager()
    showing = HoldsOfConversations()
    """Those by which the file is shown: not those of deleted conversations, which can still be restored."""

    def __str__(self) -> str:
        return f"{self.asset_id} in {self.conversation_id}"


class SpokenAnswer(models.Model):
    """The id under which a spoken answer can be sent back, and until when."""

    id = models.UUIDField(primary_key=True, editable=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="spoken")
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.id)


def spoken_answer_id(workspace_id: UUID, audio_id: str) -> UUID:
    """Derive the id from the public one: upstreams that produce speech themselves choose theirs."""
    return derive_id(workspace_id, audio_id)


class ServerProcess(models.Model):
    """A process that runs completions; once it is gone, what it left in progress is interrupted."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class Completion(AttributedModel):
    """One answer, in progress or ended, and what it used.

    One that was asked for with `store: false`, or was deleted, has no conversation, no content and no words
    of its request: it counts, and nobody reads it.
    """

    class State(models.TextChoices):
        IN_PROGRESS = "in_progress"
        COMPLETED = "completed"
        CANCELLED = "cancelled"
        INTERRUPTED = "interrupted"
        FAILED = "failed"

    end_user = models.CharField(max_length=END_USER_LENGTH, blank=True)
    conversation = models.ForeignKey(
        Conversation,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="completions",
        db_index=False,
    )
    prompt = models.ForeignKey(
        Message,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="The message it answers.",
    )
    first_answer = models.UUIDField(
        null=True, editable=False, help_text="The id of its answer's message, made before it is stored."
    )
    head_before = models.UUIDField(
        null=True,
        editable=False,
        help_text="The conversation's head, to which it returns if a message is answered anew in vain.",
    )
    process = models.UUIDField(null=True, blank=True, editable=False)
    dialect = models.CharField(max_length=10)
    model = models.CharField(max_length=200, help_text="As the client named it.")
    served_by = models.CharField(max_length=200, blank=True, help_text="The model that answered.")
    state = models.CharField(max_length=12, choices=State, default=State.IN_PROGRESS)
    # longer than a client's own: of a session or a token, it has whose it is behind it
    idempotency_key = models.CharField(max_length=1024, null=True, blank=True)  # noqa: DJ001 (unique)
    body_digest = models.CharField(max_length=64, blank=True, editable=False)
    request = CompactJSONField(default=dict, help_text="Parameters and context.")
    metadata = CompactJSONField(default=dict, blank=True)
    error = CompactJSONField(null=True, blank=True)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    cached_tokens = models.PositiveIntegerField(default=0)
    prompt_audio_tokens = models.PositiveIntegerField(default=0)
    reasoning_tokens = models.PositiveIntegerField(default=0)
    completion_audio_tokens = models.PositiveIntegerField(default=0)
    accepted_prediction_tokens = models.PositiveIntegerField(default=0)
    rejected_prediction_tokens = models.PositiveIntegerField(default=0)
    image_text_tokens = models.PositiveIntegerField(default=0)
    transcript_tokens = models.PositiveIntegerField(default=0)
    usage_estimated = models.BooleanField(default=False)
    cost = models.BigIntegerField(
        null=True, blank=True, help_text="Nano-USD. Empty until it has ended, and where it is unpriced."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    first_event_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["workspace", "-id"], name="completion_page"),
            models.Index(fields=["conversation", "id"], name="completion_of_conversation"),
            models.Index(fields=["workspace", "model", "-id"], name="completion_of_model"),
            # one each: SQLite sees that a state is one of an index's, but not that it is one of several
            models.Index(fields=["workspace", "-id"], name="completion_failed", condition=Q(state="failed")),
            models.Index(
                fields=["workspace", "-id"], name="completion_cancelled", condition=Q(state="cancelled")
            ),
            models.Index(
                fields=["workspace", "-id"], name="completion_interrupted", condition=Q(state="interrupted")
            ),
            models.Index(
                fields=["workspace"], name="completion_in_progress", condition=Q(state="in_progress")
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "idempotency_key"], name="one_completion_an_idempotency_key"
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return format_id(COMPLETION, self.id)

    @property
    def stored_conversation(self) -> Conversation:
        """The conversation of a completion that is stored."""
        if self.conversation is None:
            raise ValueError("this completion was not stored")
        return self.conversation


class CompletionLabel(models.Model):
    """A pair of metadata by which a completion is found."""

    completion = models.ForeignKey(
        Completion, on_delete=models.CASCADE, related_name="labels", db_index=False
    )
    digest = models.UUIDField(editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["completion", "digest"], name="one_label_a_completion")
        ]
        indexes: ClassVar = [models.Index(fields=["digest", "completion"], name="completion_label")]

    def __str__(self) -> str:
        return f"{self.digest} of {self.completion_id}"


class Score(AttributedModel):
    """What somebody or something says of an answer: one value of one name.

    `source` and `author` say who; one author has one value of a name for an answer, and may change it.
    """

    class Source(models.TextChoices):
        USER = "user"
        END_USER = "end_user"
        API = "api"
        REVIEWER = "reviewer"
        MODEL = "model"

    completion = models.ForeignKey(
        Completion, on_delete=models.CASCADE, related_name="scores", db_index=False
    )
    choice = models.PositiveSmallIntegerField(default=0)
    source = models.CharField(max_length=8, choices=Source)
    author = models.CharField(max_length=600, blank=True, editable=False)
    end_user = models.CharField(max_length=END_USER_LENGTH, blank=True)
    name = models.CharField(max_length=64)
    number = models.FloatField(null=True, blank=True)
    text = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["completion", "choice", "source", "author", "name"], name="one_score_an_author"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.completion_id}"


class SearchMark(models.Model):
    """A message, or without one the title of a conversation, that is still to be indexed for the search.

    The database sets it, whoever writes (`search.schema`), and the indexer takes it away.
    """

    conversation = models.ForeignKey(
        Conversation, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    message = models.ForeignKey(
        Message, null=True, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )

    def __str__(self) -> str:
        return f"{self.message_id or self.conversation_id}"


class SearchDocument(models.Model):
    """What is indexed of a message, or without one of the title of a conversation.

    `id` is that of its first mark, so that what was stored later has a higher one.
    """

    conversation = models.ForeignKey(
        Conversation, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    message = models.OneToOneField(
        Message, null=True, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False
    )
    words = WordsField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["conversation"], name="one_title_a_conversation", condition=Q(message__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"{self.message_id or self.conversation_id}"
