from media.speech.synthesis.jobs import speak, warm_voice
from media.speech.synthesis.phrases import finished_sentences
from media.speech.synthesis.values import Speak, SpeechFormat, SpokenPiece, VoiceReady, WarmVoice

__all__ = [
    "Speak",
    "SpeechFormat",
    "SpokenPiece",
    "VoiceReady",
    "WarmVoice",
    "finished_sentences",
    "speak",
    "warm_voice",
]
