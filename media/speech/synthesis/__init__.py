from media.speech.synthesis.jobs import speak, warm_voice
from media.speech.synthesis.values import Speak, SpeechFormat, SpokenPiece, VoiceReady, WarmVoice

__all__ = [
    "Speak",
    "SpeechFormat",
    "SpokenPiece",
    "VoiceReady",
    "WarmVoice",
    "speak",
    "warm_voice",
]
