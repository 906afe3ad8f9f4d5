"""One conversation: its messages, branches and answers, threaded and chained as the service does it."""

from random import Random
from typing import NamedTuple
from uuid import UUID

from chatapi.demo.answers import Answerer, Asked, Given
from chatapi.demo.library import Library
from chatapi.demo.people import Owner
from chatapi.demo.rows import Ids, Milliseconds, as_json, time_text
from chatapi.demo.tables import Row
from chatapi.demo.texts import Texts
from conversations.admission import first_words
from conversations.asset_holds import hold_id
from conversations.digest_chain import chain_digests
from conversations.labels import label_rows
from conversations.models import Conversation
from conversations.settlement import preview
from engines.messages import Message, Part, TextPart, encode_parts
from media.models import asset_id

TitledBy = Conversation.TitledBy
TURN = 70_000
"""The most that a turn takes, in milliseconds, with the shortest pause before it."""
KEPT = 25 * 24 * 3_600_000
"""How long ago the oldest conversation of the trash was deleted at most: the service purges older ones."""
LONG = 1000
"""From how many messages on a conversation is one to try things on: a key's, and not in the trash."""
_TAGS = ("billing", "bug", "vip", "refund", "sales", "spam", "escalated", "onboarding")
_CHANNELS = ("web", "mail", "phone", "app")


class Draft(NamedTuple):
    """A conversation to be written, of so many messages, and whole before `until`."""

    owner: Owner
    messages: int
    begin: Milliseconds
    until: Milliseconds
    model: str


class Place(NamedTuple):
    """Where a message may follow: after which, with which digest, and how many tokens are before it."""

    id: str | None
    digest: str
    tokens: int = 0


class Surroundings(NamedTuple):
    """What a conversation is written with."""

    texts: Texts
    library: Library
    answerer: Answerer
    ids: Ids
    random: Random


class HistoryRows:
    """The rows of many conversations."""

    def __init__(self) -> None:
        self.conversations: list[Row] = []
        self.messages: list[Row] = []
        self.labels: list[Row] = []
        self.holds: list[Row] = []
        self.files: list[Row] = []


class Thread:
    """A conversation while it is written."""

    def __init__(self, draft: Draft, around: Surroundings, rows: HistoryRows) -> None:
        self._draft = draft
        self._texts, self._library, self._answerer, self._ids, self._random = around
        self._rows = rows
        self._now = draft.begin
        self._id = self._ids.at(self._now)
        self._metadata = self._some_metadata()
        self._head = self._prompt = Place(None, draft.owner.scope)
        self._path: list[Place] = []
        self._first: list[Message] = []
        self._is_first_call = True
        self._count = self._cost = 0
        self._preview = self._last_completion = ""
        self._held: set[str] = set()

    def write(self) -> None:
        """Write its turns, and the row of the conversation."""
        turns = plan_turns(self._draft.messages, self._random)
        for number, turn in enumerate(turns):
            if number:
                latest = self._draft.until - TURN * (len(turns) - number)
                self._now = max(self._now + 2000, min(latest, self._now + self._pause()))
            getattr(self, turn)()
        self._write_conversation()

    def _pause(self) -> Milliseconds:
        """Draw how long nobody says anything: a minute, some hours, or days."""
        chance, draw = self._random.random(), self._random.expovariate
        mean = 60 if chance < 0.85 else 10_000 if chance < 0.97 else 350_000
        return 3000 + int(1000 * draw(1 / mean))

    # --- turns ------------------------------------------------------------------------------------

    def ask(self) -> None:
        self._say(self._question())
        self._answer()

    def ask_with_instructions(self) -> None:
        name = self._random.choice(self._texts.names)
        self._say(Message("system", (TextPart(f"You help the customers of {name}. Be brief."),)))
        self.ask()

    def ask_for_two(self) -> None:
        """Ask for two answers at once."""
        self._say(self._question())
        self._answer(choices=2)

    def ask_anew(self) -> None:
        """Have the last message answered again."""
        self._answer(anew=True)

    def edit(self) -> None:
        """Ask something else in the place of an earlier question: a branch."""
        back = min(len(self._path) - 1, 1 + int(3 * self._random.random() ** 3))
        if back:
            self._head = self._path[-back]
            del self._path[-back:]
        self.ask()

    def use_tools(self) -> None:
        self._say(self._question())
        call = self._answerer.call_tool(self._texts)
        self._add_answer(self._asked(tools=True), Given(((call,),), "tool_calls"))
        name = self._random.choice(self._texts.names)
        result = as_json({"status": "ok", "orders": self._random.randrange(40), "name": name})
        self._now += 300
        self._say(Message("tool", (TextPart(result),), tool_call_id=call.id))
        self._answer(tools=True)

    def fail_first(self) -> None:
        """Ask, get an error, and ask the same again."""
        self.stay_unanswered()
        self._now += 4000
        self._answer(anew=True)

    def stay_unanswered(self) -> None:
        self._say(self._question())
        ended = self._answerer.fail(self._asked())
        self._last_completion, self._now = ended.id, ended.at
        self._is_first_call = False

    # --- steps ------------------------------------------------------------------------------------

    def _question(self) -> Message:
        random = self._random
        attached = self._library.attach(random) if random.random() < 0.05 else ()
        for part in attached:
            self._hold(part)
            if random.random() < 0.4:
                self._upload(part)
        return Message("user", (TextPart(self._texts.question(random)), *attached))

    def _say(self, message: Message) -> None:
        """Add a message of the client's after the head."""
        if message.role == "user":
            self._path.append(self._head)
        if self._is_first_call:
            self._first.append(message)
        self._head = self._prompt = self._add(message, self._head, self._ids.at(self._now), self._now)

    def _asked(self, *, anew: bool = False, tools: bool = False) -> Asked:
        prompt, draft = self._prompt, self._draft
        before = self._head.id if anew else None
        return Asked(
            draft.owner,
            self._id,
            prompt.id or "",
            before,
            draft.model,
            self._metadata,
            prompt.tokens,
            self._now,
            tools,
        )

    def _answer(self, *, choices: int = 1, anew: bool = False, tools: bool = False) -> None:
        asked = self._asked(anew=anew, tools=tools)
        self._add_answer(asked, self._answerer.give(asked, self._texts, self._library, choices))

    def _add_answer(self, asked: Asked, given: Given) -> None:
        ended, prompt = self._answerer.complete(asked, given), self._prompt
        for choice, (id, parts) in enumerate(zip(ended.answers, given.choices, strict=True)):
            made = (ended.id, choice, given.finish)
            place = self._add(Message("assistant", parts), prompt, id, ended.at, made)
            for part in parts:
                self._hold(part)
            if choice == 0:
                self._head = place
        self._preview = preview(given.choices[0])
        self._cost += ended.cost
        self._last_completion, self._now = ended.id, ended.at
        self._is_first_call = False

    def _add(
        self,
        message: Message,
        after: Place,
        id: str,
        at: Milliseconds,
        made: tuple[str | None, int | None, str] = (None, None, ""),
    ) -> Place:
        [digest] = chain_digests(after.digest, (message,))
        parts = encode_parts(message.parts)
        tool_call_id = message.tool_call_id or ""
        row = (id, self._id, after.id, message.role, parts, "", tool_call_id, digest, *made, time_text(at))
        self._rows.messages.append(row)
        self._count += 1
        return Place(id, digest, after.tokens + len(parts) // 4)

    def _hold(self, part: object) -> None:
        blob = getattr(part, "blob", None)
        if blob is None or blob.sha256 in self._held:
            return
        self._held.add(blob.sha256)
        asset = asset_id(UUID(self._draft.owner.workspace_id), blob.sha256)
        self._rows.holds.append((hold_id(UUID(self._id), asset).hex, self._id, asset.hex))

    def _upload(self, part: Part) -> None:
        """Let a part be of a file that was uploaded under a name."""
        blob = getattr(part, "blob", None)
        if blob is None:
            return
        owner, random = self._draft.owner, self._random
        asset = asset_id(UUID(owner.workspace_id), blob.sha256).hex
        name = f"{random.choice(self._texts.words)}-{random.randrange(1000)}.{blob.media_type[-3:]}"
        purpose = "vision" if blob.media_type.startswith("image/") else "user_data"
        whose = (owner.workspace_id, owner.key_id, owner.owner_id, owner.end_user, "private")
        made = (name, purpose, time_text(self._now), None)
        self._rows.files.append((self._ids.at(self._now), *whose, asset, *made))

    # --- the conversation -------------------------------------------------------------------------

    def _write_conversation(self) -> None:
        random, owner, draft = self._random, self._draft.owner, self._draft
        title, titled_by = self._title()
        tags = random.sample(_TAGS, random.randint(1, 3)) if random.random() < 0.08 else []
        is_shared = random.random() < (0.01 if owner.key_id else 0.2)
        is_deleted = random.random() < 0.03 and draft.messages < LONG
        kept = int((draft.until - max(self._now, draft.until - KEPT)) * random.random())
        self._rows.conversations.append(
            (
                self._id,
                owner.workspace_id,
                owner.key_id,
                owner.owner_id,
                owner.end_user,
                "workspace" if is_shared else "private",
                owner.scope,
                title,
                titled_by,
                as_json(self._metadata),
                as_json(tags),
                int(random.random() < 0.03),
                int(random.random() < 0.09),
                self._count,
                self._cost,
                self._preview,
                self._head.id,
                self._last_completion,
                time_text(draft.begin),
                time_text(self._now),
                time_text(draft.until - kept) if is_deleted else None,
            )
        )
        workspace = UUID(owner.workspace_id)
        labels = label_rows("conversation", UUID(self._id), workspace, self._metadata, tags)
        self._rows.labels += [(self._id, row["digest"].hex) for row in labels]

    def _title(self) -> tuple[str, str]:
        """Return a title, and who gave it."""
        chance = self._random.random()
        if chance < 0.05:
            return self._texts.title(self._random), TitledBy.CLIENT.value
        if chance < 0.4 and self._preview:
            return self._texts.title(self._random)[:80], TitledBy.MODEL.value
        return first_words(self._first), TitledBy.FIRST_WORDS.value

    def _some_metadata(self) -> dict[str, str]:
        random = self._random
        if random.random() >= 0.12:
            return {}
        metadata = {"channel": random.choice(_CHANNELS)}
        if random.random() < 0.4:
            metadata["ticket"] = f"T-{random.randrange(10**6):06d}"
        return metadata


def plan_turns(count: int, random: Random) -> list[str]:
    """Return the names of turns that make so many messages."""
    if count < 2:
        return ["stay_unanswered"]
    with_instructions = count == 3 or (count > 3 and random.random() < 0.25)
    turns = ["ask_with_instructions" if with_instructions else "ask"]
    left, questions = count - (3 if with_instructions else 2), 1
    while left:
        turn, cost = _draw_turn(left, questions, random.random())
        turns.append(turn)
        left -= cost
        questions += turn not in ("ask_anew", "edit")
    return turns


def _draw_turn(left: int, questions: int, chance: float) -> tuple[str, int]:
    if left == 1:
        return ("stay_unanswered", 1) if chance < 0.2 else ("ask_anew", 1)
    if chance < 0.04 and left >= 4:
        return "use_tools", 4
    if chance < 0.065:
        return "ask_anew", 1
    if chance < 0.095 and questions > 1:
        return "edit", 2
    if chance < 0.11:
        return "fail_first", 2
    if chance < 0.115 and left >= 3:
        return "ask_for_two", 3
    return "ask", 2
