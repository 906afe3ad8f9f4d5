"""Sound synthesized from speech plans, here by eSpeak NG, as it is fast."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from media.processing.sandbox.job_functions import job_of
from media.processing.speech.speech_plan import Mark, Pause, Say, SpeechItem
from media.processing.speech.synthesis.job_types import Speak, WarmVoice
from media.processing.speech.synthesis.jobs import speak, warm_voice
from media.processing.speech.synthesis.samples import (
    OUTPUT_RATE,
    Samples,
    apply_limiter,
    change_speed,
    resample,
    trim_silence,
)
from media.processing.speech.voices.voice import VoiceNotFound
from tests.support.speech_measures import TEN_WORDS, fundamental, longest_silence, synthesize

LONG = (
    "When the sun had gone down behind the hills, the old man sat by the window, and he told the children "
    "about the years that he had spent at sea. They listened, **all** of them.\n\n- And then?\n- Nothing. 🙂"
)


def tone(hertz: float, seconds: float, rate: int = OUTPUT_RATE) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def test_both_functions_are_sandbox_jobs() -> None:
    assert job_of(speak).streams
    assert not job_of(warm_voice).streams


def test_a_sentence_has_a_plausible_length_loudness_and_pitch() -> None:
    said = synthesize(TEN_WORDS)
    assert 2.0 < said.seconds < 5.0
    assert 0.03 < said.loudness < 0.3
    assert 80 < said.pitch < 130


def test_pieces_are_small_and_whole_and_state_the_time_so_far() -> None:
    said = synthesize(LONG, Mark("end"))
    for piece in said.pieces:
        assert len(piece.data) % 6 == 0
        assert len(piece.data) <= 48_000
    assert said.pieces[-1].milliseconds == pytest.approx(said.seconds * 1000, abs=1)
    lengths = [piece.milliseconds for piece in said.pieces]
    assert lengths == sorted(lengths)


def test_the_transcript_is_exactly_what_was_written() -> None:
    plan: list[SpeechItem] = [
        Say(LONG), Mark("a"), Say("WHO", written="World Health Organization"), Say(" ... "), Pause(100),
        Say("$5", interpret_as="currency"), Say("tomato", phonemes="təˈmeɪtoʊ"), Say("x" * 1000),
        Say("", written="nothing"), Say("hushed", is_silent=True), Say("你好 there"),
    ]  # fmt: skip
    expected = "".join(item.transcript for item in plan if isinstance(item, Say))
    assert synthesize(*plan).transcript == expected


def test_words_arrive_with_their_sound() -> None:
    said = synthesize("One is here. ", "Two is there.")
    begins = {piece.transcript: piece.milliseconds for piece in said.pieces if piece.transcript}
    assert list(begins) == ["One is here. ", "Two is there."]
    assert all(piece.data for piece in said.pieces if piece.transcript)
    alone = synthesize("One is here. ").pieces[-1].milliseconds
    assert 0 < begins["Two is there."] - alone <= 1000


def test_the_first_sound_of_a_long_sentence_comes_before_the_rest_is_made() -> None:
    pieces = speak(Speak([Say(LONG)], "espeak-en-us"))
    assert (
        next(pieces).transcript
        == "When the sun had gone down behind the hills, the old man sat by the window, "
    )
    pieces.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("rate", [0.25, 0.5, 2.0, 4.0])
def test_rate_scales_the_duration(rate: float) -> None:
    usual = synthesize(TEN_WORDS).seconds
    assert synthesize(Say(TEN_WORDS, rate=rate)).seconds == pytest.approx(usual / rate, rel=0.1)
    assert synthesize(TEN_WORDS, speed=rate).seconds == pytest.approx(usual / rate, rel=0.1)


def test_rate_does_not_change_the_pitch() -> None:
    assert synthesize(Say(TEN_WORDS, rate=3.0)).pitch == pytest.approx(synthesize(TEN_WORDS).pitch, rel=0.1)


@pytest.mark.parametrize("semitones", [-5, 5, 12])
def test_pitch_is_in_semitones_and_does_not_change_the_duration(semitones: int) -> None:
    usual, shifted = synthesize(TEN_WORDS), synthesize(Say(TEN_WORDS, pitch=semitones))
    assert shifted.pitch == pytest.approx(usual.pitch * 2 ** (semitones / 12), rel=0.08)
    assert shifted.seconds == pytest.approx(usual.seconds, rel=0.08)


def test_volume_is_in_decibels() -> None:
    assert synthesize(Say(TEN_WORDS, volume=-20)).loudness == pytest.approx(
        synthesize(TEN_WORDS).loudness / 10, rel=0.1
    )


def test_a_very_high_volume_does_not_clip() -> None:
    said = synthesize(Say(TEN_WORDS, volume=20))
    assert 0.9 < np.abs(said.samples).max() < 0.98
    assert said.loudness > 2 * synthesize(TEN_WORDS).loudness


def test_silent_text_takes_as_long_as_spoken_text() -> None:
    said = synthesize(Say(TEN_WORDS, is_silent=True))
    assert not said.samples.any()
    assert said.seconds == pytest.approx(synthesize(TEN_WORDS).seconds, abs=0.025)


@pytest.mark.parametrize("milliseconds", [0, 40, 500, 1234])
def test_a_pause_is_as_long_as_requested(milliseconds: int) -> None:
    said = synthesize(Say("One."), Mark("before"), Pause(milliseconds), Mark("after"), Say("Two."))
    assert said.marks["after"] - said.marks["before"] == pytest.approx(milliseconds, abs=1)
    without = synthesize(Say("One."), Pause(0), Say("Two.")).seconds
    assert said.seconds - without == pytest.approx(milliseconds / 1000, abs=0.025)


def test_a_pause_is_silent() -> None:
    assert longest_silence(synthesize(Say("One."), Pause(700), Say("Two.")).samples) == pytest.approx(
        0.7, abs=0.06
    )


def test_the_length_of_pauses_is_limited() -> None:
    assert synthesize(Pause(10**9), Pause(10**9), Pause(-5)).seconds == 60


def test_a_mark_has_the_start_time_of_the_words_after_it() -> None:
    said = synthesize(Mark("start"), Say("One is here. "), Mark("middle"), Say("Two is there."), Mark("end"))
    assert said.marks["start"] == 0
    alone = synthesize("One is here. ").pieces[-1].milliseconds
    assert said.marks["middle"] == pytest.approx(alone, abs=25)
    assert said.marks["middle"] < said.marks["end"] <= said.pieces[-1].milliseconds


def test_sentences_are_separated_by_a_short_pause() -> None:
    assert 0.25 < longest_silence(synthesize("One is here. Two is there.").samples) < 0.5


def test_a_period_by_itself_separates_sentences_too() -> None:
    said = synthesize(Say("One is "), Say("here", pitch=2), Say(". "), Say("Two is there."))
    assert 0.25 < longest_silence(said.samples) < 0.5
    assert synthesize(Say("."), Pause(100), Say("\n")).seconds == 0.1


def test_there_are_no_clicks_between_pieces() -> None:
    samples = synthesize(LONG).samples
    assert np.abs(np.diff(samples)).max() < 0.6
    assert samples[0] == pytest.approx(0, abs=0.01)
    assert samples[-1] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    "text",
    ["", " ", "...", "?!", "😀👍🏽", "\x00\x00", "```\ncode\n```", "---", "\u0301", "\ud800"],
)
def test_text_without_words_makes_no_sound(text: str) -> None:
    said = synthesize(text)
    assert said.seconds == 0
    assert said.transcript == text


@pytest.mark.parametrize(
    "text",
    [
        "a" * 3_000, "7" * 500, "שלום עולם", "مرحبا بالعالم", "你好，世界。", "a\x00b", "Ünïcödé",
        "[[h@l'oU]]", "<speak><break time='10s'/></speak>", "\ud800 half", "Привет, world",
    ],
    ids=lambda text: ascii(text[:8]),
)  # fmt: skip
def test_strange_texts_are_spoken_and_end(text: str) -> None:
    said = synthesize(text)
    assert 0.1 < said.seconds < 900
    assert said.transcript == text


def test_espeak_markup_in_text_is_not_interpreted() -> None:
    assert not synthesize("[[h@l'oU]]").resembles(synthesize(Say("x", phonemes="həlˈoʊ")))
    assert synthesize("<break time='10s'/> one").seconds < 5


def test_phonemes_are_spoken_instead_of_the_text() -> None:
    said = synthesize(Say("x", phonemes="təˈmeɪtoʊ"))
    assert said.seconds > 1.3 * synthesize("x").seconds
    assert said.transcript == "x"


def test_the_text_is_spoken_if_the_phonemes_are_unknown() -> None:
    assert synthesize(Say("tomato", phonemes="ʘǂ")).resembles(synthesize("tomato"))


def test_say_as_is_spoken_in_words() -> None:
    said = synthesize(Say("$45.30", interpret_as="currency"))
    assert said.seconds == pytest.approx(synthesize("forty-five dollars and thirty cents").seconds, rel=0.01)
    assert said.transcript == "$45.30"


def test_another_language_is_spoken_by_its_own_voice() -> None:
    german = "Guten Tag, wie geht es Ihnen?"
    asked = synthesize(Say(german, language="de-AT"))
    assert asked.resembles(synthesize(german, voice="espeak-de"))
    assert not asked.resembles(synthesize(german))


def test_a_language_without_a_voice_is_spoken_by_the_current_voice() -> None:
    assert synthesize(Say("nuqneH", language="tlh")).resembles(synthesize("nuqneH"))


def test_an_item_may_have_its_own_voice() -> None:
    asked = synthesize(Say(TEN_WORDS, voice="ESPEAK-en-us-female"))
    assert asked.pitch > 1.4 * synthesize(TEN_WORDS).pitch
    assert synthesize(Say(TEN_WORDS, voice="nobody")).resembles(synthesize(TEN_WORDS))


def test_extreme_values_are_clamped() -> None:
    nan = float("nan")
    wild = [Say("Hi", rate=rate, pitch=pitch, volume=volume) for rate, pitch, volume in (
        (1e9, 1e9, 1e9), (-5, -1e9, -1e9), (0, 0, 0), (nan, nan, nan), (1e-9, 0, float("inf")),
    )]  # fmt: skip
    for item in wild:
        assert synthesize(item).seconds < 10


def test_an_unknown_voice_is_refused() -> None:
    with pytest.raises(VoiceNotFound):
        synthesize("Hello", voice="nobody")
    with pytest.raises(VoiceNotFound):
        warm_voice(WarmVoice("nobody"))


def test_simultaneous_syntheses_are_not_mixed_up() -> None:
    voices = ["espeak-en-us", "espeak-de", "espeak-fr-female"] * 2
    alone = {voice: synthesize(TEN_WORDS, voice=voice) for voice in set(voices)}
    assert not alone["espeak-en-us"].resembles(alone["espeak-de"])
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda voice: (voice, synthesize(TEN_WORDS, voice=voice)), voices)
    for voice, said in together:
        assert said.resembles(alone[voice])


@pytest.mark.parametrize(
    ("format", "start"),
    [("wav", b"RIFF"), ("flac", b"fLaC"), ("opus", b"OggS"), ("mp3", b""), ("aac", b"\xff")],
)
def test_other_formats_carry_the_same_words_and_marks(format: str, start: bytes) -> None:
    said = synthesize(LONG, Mark("end"), format=format)
    data = b"".join(piece.data for piece in said.pieces)
    assert data.startswith(start)
    assert len(data) > 5_000
    assert said.transcript == LONG
    assert list(said.marks) == ["end"]
    assert said.pieces[-1].milliseconds == pytest.approx(synthesize(LONG).seconds * 1000, abs=50)


def test_a_resampled_tone_keeps_its_pitch_and_loudness() -> None:
    resampled = resample(trim_silence(tone(440, 1, 22_050), 22_050), 22_050, OUTPUT_RATE)
    assert len(resampled) == pytest.approx(OUTPUT_RATE, abs=400)
    middle = resampled[2000:-2000]
    expected_crossings = 440 * len(middle) / OUTPUT_RATE
    crossings = np.count_nonzero(np.diff(np.signbit(middle))) / 2
    assert crossings == pytest.approx(expected_crossings, abs=1)
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("speed", [0.3, 0.7, 1.5, 3.0])
def test_a_stretched_tone_keeps_its_pitch(speed: float) -> None:
    longer = change_speed(tone(150, 2), speed, OUTPUT_RATE)
    assert len(longer) / OUTPUT_RATE == pytest.approx(2 / speed, rel=0.02)
    assert fundamental(longer.astype(np.float64)) == pytest.approx(150, rel=0.03)


def test_the_limiter_lowers_the_volume_only_around_peaks() -> None:
    sound = tone(200, 1)
    sound[12_000:12_100] *= 4
    calm = apply_limiter(sound)
    assert np.abs(calm).max() <= 0.971
    assert np.array_equal(calm[:11_000], sound[:11_000])
    assert np.array_equal(calm[13_000:], sound[13_000:])
