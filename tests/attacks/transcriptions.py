"""Speech recognized for nothing, where `transcription` has a price by the second."""

from base64 import b64encode

from billing.models import Charge
from tests.attacks.checks import check, check_status, comes_true
from tests.attacks.stage import Stage, usd
from tests.support.media_requests import sound_file_part
from tests.support.people import Person
from tests.support.request_bodies import sound
from tests.support.sounds import tone, wav

SECONDS = 1
COST = SECONDS * 100_000
"""Nano-USD of a recognition, at 0.0001 USD for a second."""
WORDS = "Some words."
"""What the stand-in for recognition hears, in a second of any sound."""


def by_a_file(stage: Stage) -> None:
    """Have speech recognized for nothing: upload it as a file, and read its transcript."""
    who = stage.newcomer()
    file = stage.upload(who, _speech(300), "speech.wav")
    check(_transcript_comes(stage, who, file["id"]), "there is no transcript")
    _check_billed_once(stage, who)


def by_a_free_model(stage: Stage) -> None:
    """Have it recognized for nothing: send it to a free model that does not hear."""
    who = stage.newcomer()
    check_status(stage.ask(who, _part(_speech(400)), model="free"), 200)
    _check_billed_once(stage, who)


def the_same_sound_again(stage: Stage) -> None:
    """Make a workspace pay again for what is recognized once: the same bytes by each way."""
    who, data = stage.newcomer(), _speech(500)
    file = stage.upload(who, data, "speech.wav")
    check(_transcript_comes(stage, who, file["id"]), "there is no transcript")
    again = stage.upload(who, data, "again.wav")
    check(_transcript_comes(stage, who, again["id"]), "there is no transcript of the second upload")
    for content in (_part(data), _part(data), [sound_file_part(file["id"])]):
        check_status(stage.ask(who, content, model="free"), 200)
    _check_billed_once(stage, who)


def the_same_sound_of_a_stranger(stage: Stage) -> None:
    """Have it recognized for nothing, because someone else has paid for the same bytes."""
    data = _speech(600)
    for who in (stage.newcomer(), stage.newcomer()):
        check_status(stage.ask(who, _part(data), model="free"), 200)
        _check_billed_once(stage, who)


def without_money(stage: Stage) -> None:
    """Have it recognized on an empty wallet."""
    who, data = stage.newcomer("0"), _speech(700)
    with stage.client(who) as client:
        upload = client.post("/v1/files", files={"file": ("speech.wav", data)}, data={"purpose": "user_data"})
    if upload.status_code == 200:
        is_heard = _transcript_comes(stage, who, upload.json()["id"], within=1.5)
        check(not is_heard, "an upload was transcribed, and nothing billed")
    answer = stage.ask(who, _part(data), model="free")
    check(answer.status_code != 200 or WORDS not in answer.text, "a free model was told what was said")


def _speech(hertz: float) -> bytes:
    return wav(tone(SECONDS, hertz, rate=16_000, channels=1).tobytes())


def _part(data: bytes) -> list[dict[str, object]]:
    return [sound(b64encode(data).decode(), format="wav")]


def _transcript_comes(stage: Stage, who: Person, file_id: str, within: float = 15) -> bool:
    with stage.client(who) as client:

        def is_there() -> bool:
            return WORDS in client.get(f"/v1/files/{file_id}/renditions").text

        return comes_true(is_there, within)


def _check_billed_once(stage: Stage, who: Person) -> None:
    charges = Charge.objects.filter(workspace_id=who.workspace.id, kind=Charge.Kind.TRANSCRIPTION)
    # the bill may come a moment after the words
    comes_true(lambda: charges.exclude(state="held").exists(), 1.0)
    costs = [(charge.seconds, charge.cost) for charge in charges]
    check(costs == [(SECONDS, COST)], f"billed {costs} (seconds, nano-USD), and not once {usd(COST)}")
