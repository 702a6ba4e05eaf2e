"""`csm say`: text to speech, written or played while it is made."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loguru import logger
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from csm_plugin.cli.options import add_model_options, add_part_options, check_model, load_engine, parts_of
from csm_plugin.errors import SettingsError, TextError
from csm_plugin.interruption import INTERRUPTED, tidying
from csm_plugin.settings import SAMPLE_RATE_HZ, Sampling, check_device_name, check_speaker
from csm_plugin.text import is_speakable, normalize, split_sentences

if TYPE_CHECKING:
    from csm_plugin.cli.outputs import Write
    from csm_plugin.engine import Conversation, Utterance

_AT_ONCE = 2


@dataclass(slots=True)
class _Spoken:
    """What came out so far."""

    began_s: float = 0.0
    samples: int = 0
    first_after_s: float | None = None
    cut_off: int = 0

    @property
    def seconds(self) -> float:
        return self.samples / SAMPLE_RATE_HZ

    @property
    def summary(self) -> str:
        if self.first_after_s is None:
            return "no speech yet"
        rtf = (time.perf_counter() - self.began_s) / self.seconds
        return f"{self.seconds:.1f} s of speech, RTF {rtf:.2f}, first sound after {self.first_after_s * 1000:.0f} ms"


def add_parser(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add `say` to `csm`'s subcommands."""
    parser = commands.add_parser(
        "say",
        parents=[shared],
        help="speak a text into a file or the loudspeaker",
        description="Speak TEXT, sentence by sentence in one conversation, into a file, standard output or the "
        "loudspeaker, while it is made.",
    )
    parser.add_argument("text", nargs="?", metavar="TEXT", help="what to say; - or nothing reads standard input")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="24 kHz mono; the name says what: .wav, .flac, .ogg, .opus or .mp3; - is standard output, as WAV",
    )
    parser.add_argument("--play", action="store_true", help="play it while it is made")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no summary")
    add_model_options(parser)
    add_part_options(parser)
    parser.add_argument("--voice", help="a voice that the model or the engine has")
    parser.add_argument("--speaker", type=int, default=0, metavar="N", help="CSM's speaker number (default: 0)")
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed says it the same way again")
    parser.add_argument("--temperature", type=float, metavar="T", help="0 is greedy (default: the checkpoint's own)")
    parser.set_defaults(run=run, usage_error=parser.error, leave=parser.exit)


def run(options: argparse.Namespace, console: Console) -> int:
    """Speak; return 0, or 130 after Ctrl-C.

    Raises:
        CSMError: nothing can be spoken, a setting is wrong, or the model cannot be loaded or fails.
        SystemExit: code 2 if there is nowhere for the speech to go, or a terminal.
    """
    if options.output is None and not options.play:
        options.leave(2, "csm say: where is the speech to go? Add -o hello.wav to write a file, or --play to hear it\n")
    if options.output == "-" and sys.stdout.isatty():
        options.usage_error("-o - writes sound to standard output, which is a terminal: redirect it, or name a file")
    sampling = Sampling(temperature=options.temperature, seed=options.seed)
    check_speaker(options.speaker)
    check_device_name(options.device)
    pieces = _speakable_pieces(_read_text(options.text))
    shown = Console(stderr=True, quiet=options.quiet)
    spoken = _Spoken()
    try:
        with tidying(), ExitStack() as engines, ExitStack() as outputs:
            writes = _open_outputs(options, outputs)
            check_model(options.model, [] if options.voice is None else [options.voice])
            with shown.status(f"loading {options.model}"):
                engine = engines.enter_context(load_engine(options.model, options.device, parts_of(options)))
            with engine.conversation(voice=options.voice, speaker=options.speaker, sampling=sampling) as talk:
                _speak(talk, pieces, writes, spoken, shown)
    except KeyboardInterrupt:
        console.print(f"stopped: {spoken.summary}", highlight=False, soft_wrap=True)
        return INTERRUPTED
    if spoken.cut_off:
        console.print(
            f"[yellow]{spoken.cut_off} of {len(pieces)} sentences reached their length limit and were cut off",
            soft_wrap=True,
        )
    shown.print(f"{options.output or 'played'}: {spoken.summary}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _open_outputs(options: argparse.Namespace, opened: ExitStack) -> list[Write]:
    from csm_plugin.cli.outputs import loudspeaker, sound_file, wav_stream

    writes: list[Write] = []
    if options.output == "-":
        writes.append(opened.enter_context(wav_stream(sys.stdout.buffer, SAMPLE_RATE_HZ)))
    elif options.output is not None:
        writes.append(opened.enter_context(sound_file(options.output, SAMPLE_RATE_HZ)))
    if options.play:
        writes.append(opened.enter_context(loudspeaker(SAMPLE_RATE_HZ)))
    return writes


def _read_text(text: str | None) -> str:
    if text is not None and text != "-":
        return text
    if sys.stdin is None:
        raise SettingsError("there is no standard input to read from; give the TEXT as an argument")
    if sys.stdin.isatty():
        sys.stderr.write("csm say: type the text, and Ctrl-D on a line of its own to end it\n")
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextError(f"standard input is not UTF-8 text (byte {error.start:,}); convert it to UTF-8") from None


def _speakable_pieces(text: str) -> list[str]:
    """Cut a text of any length into pieces that can be spoken.

    Raises:
        TextError: there is none.
    """
    pieces = split_sentences(text)
    speakable = [piece for piece in pieces if is_speakable(piece)]
    if len(pieces) > len(speakable):
        logger.debug("skipped pieces that hold nothing speakable", skipped=len(pieces) - len(speakable))
    if not speakable:
        normalize(pieces[0] if pieces else text)
        raise TextError(f"nothing in the {len(text):,} characters of text can be spoken; give letters or digits")
    return speakable


def _speak(
    talk: Conversation, pieces: Sequence[str], writes: Sequence[Write], spoken: _Spoken, console: Console
) -> None:
    progress = Progress(
        SpinnerColumn(),
        BarColumn(),
        TextColumn("sentence {task.completed} of {task.total}"),
        TextColumn("{task.fields[summary]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    spoken.began_s = time.perf_counter()
    with progress:
        task = progress.add_task("speaking", total=len(pieces), summary=spoken.summary)
        for utterance in _spoken_in_turn(talk, pieces):
            for chunk in utterance:
                if spoken.first_after_s is None:
                    spoken.first_after_s = time.perf_counter() - spoken.began_s
                spoken.samples += len(chunk.pcm)
                for write in writes:
                    write(chunk.pcm)
                progress.update(task, summary=spoken.summary)
            spoken.cut_off += utterance.finish_reason == "length"
            progress.advance(task)


def _spoken_in_turn(talk: Conversation, pieces: Sequence[str]) -> Iterator[Utterance]:
    """Give one utterance a piece, with the next one waiting in the engine already."""
    remaining = iter(pieces)
    waiting = deque(talk.speak(piece) for piece in itertools.islice(remaining, _AT_ONCE))
    while waiting:
        yield waiting.popleft()
        waiting.extend(talk.speak(piece) for piece in itertools.islice(remaining, 1))
