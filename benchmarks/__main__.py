"""Measure the service: streams against a plain relay, speech against the bare models, media, and a history.

make bench                            3 rounds, about four minutes on an idle machine
make bench ARGS="--quick"             1 short round
make bench ARGS="--rounds 7"
make bench ARGS="--only speech"       or: media, streams, history; may be given twice
make bench ARGS="--only history --keep /var/tmp/bench"   with databases that the next run uses again
make bench ARGS="--only speech --minutes 10"
make bench ARGS="--profile streams"   where the service's time goes (or: plain)
"""

import argparse
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks import findings_table, history, media_conversion, speech, streams
from benchmarks.processes import BenchmarkError, say
from benchmarks.profile import profile_service
from benchmarks.target_servers import STARTERS


def main() -> None:
    arguments = _arguments()
    # each signal must unwind the stack below, or it would leave the processes behind
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda *_: sys.exit("benchmarks: stopped"))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chatapi-bench-")))
        if arguments.profile:
            print(profile_service(folder, stack, arguments.profile, streams.CONNECTIONS, arguments.seconds))
            return
        for name, part in PARTS.items():
            if name in arguments.only:
                own = folder / name
                own.mkdir()
                print(_conditions(arguments))
                print(part(own, arguments) + "\n", flush=True)


def _streams(folder: Path, arguments: argparse.Namespace) -> str:
    plan = streams.Plan(arguments.targets, arguments.rounds, arguments.seconds, arguments.open_streams)
    return streams.measure_streams(folder, plan)


def _speech(folder: Path, arguments: argparse.Namespace) -> str:
    say("speech")
    sentences = 3 if arguments.quick else 6
    plan = speech.Plan(arguments.rounds, sentences, arguments.minutes)
    return findings_table.render("speech", speech.measure_speech(folder, plan))


def _media(folder: Path, arguments: argparse.Namespace) -> str:
    say("media")
    plan = media_conversion.Plan(arguments.rounds, *((10, 6) if arguments.quick else (30, 60)))
    return findings_table.render("media", media_conversion.measure_conversions(folder, plan))


def _history(folder: Path, arguments: argparse.Namespace) -> str:
    say("history")
    repetitions = 20 if arguments.quick else 60
    plan = history.Plan(arguments.messages, repetitions, arguments.keep, arguments.strict)
    return history.measure_history(folder, plan)


PARTS: dict[str, Callable[[Path, argparse.Namespace], str]] = {
    "media": _media,
    "speech": _speech,
    "streams": _streams,
    "history": _history,
}
_UNASKED = [name for name in PARTS if name != "history"]
"""What is measured if nothing is named: a history takes half an hour, most of it to be made."""


def _conditions(arguments: argparse.Namespace) -> str:
    return (
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, Python {platform.python_version()}; "
        f"{arguments.rounds} interleaved round(s): median [least–most]"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join(STARTERS)} (default: all)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="each load of each round")
    parser.add_argument("--open-streams", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="one round, of 1.5 s, and less sound")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part (default: all but history)")
    parser.add_argument("--minutes", type=float, default=1.0, help="how much of a long sound is heard")
    parser.add_argument("--profile", choices=("streams", "plain"), help="profile the service under this load")
    parser.add_argument("--messages", type=int, help="in the history (default: 1,000,000; --quick: 20,000)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the history's databases here")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where the history misses an aim")
    arguments = parser.parse_args()
    arguments.targets = arguments.targets or list(STARTERS)
    arguments.only = arguments.only or _UNASKED
    arguments.messages = arguments.messages or (20_000 if arguments.quick else 1_000_000)
    history.check_messages(arguments.messages)
    if unknown := set(arguments.targets) - set(STARTERS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.minutes = 1, 1.5, 0.5
    return arguments


if __name__ == "__main__":
    try:
        main()
    except (BenchmarkError, TimeoutError) as error:
        sys.exit(f"benchmarks: {error}")
