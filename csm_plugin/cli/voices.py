"""`csm voices`: the user's own voices, and those that come with a model."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from csm_plugin.cli.options import default_model
from csm_plugin.cli.voice_table import print_voices
from csm_plugin.errors import SettingsError, VoiceError
from csm_plugin.interruption import tidying
from csm_plugin.settings import VOICE_STYLES

if TYPE_CHECKING:
    from csm_plugin.conversation import VoiceLibrary
    from csm_plugin.conversation.prepared_voice import PreparedVoice
    from csm_plugin.conversation.voice_folder import VoiceFolder

_ABOUT = """List the voices that can be spoken with, and add, remove or play them. Your own are kept in the folder that
CSM_VOICES names, else in your data directory, and csm serve uses the same. A voice is a recording and its text."""
_ADD = """Make a voice of a recording: WAV, FLAC, MP3 or Ogg, best 5 to 30 s of one speaker in a quiet room. It is mixed
down, resampled to 24 kHz, trimmed, brought to one level and, with its text, cut to 30 s; a clipped or noisy one is
refused. Without FILE it is the recording NAME that comes with the model."""


def add_parser(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add `voices` and its subcommands to `csm`'s subcommands."""
    parser = commands.add_parser("voices", help="list, add, remove and play voices", description=_ABOUT)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    listing = actions.add_parser("list", parents=[shared], help="list the voices", description="List the voices.")
    _add_model(listing)
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=run_list)

    adding = actions.add_parser("add", parents=[shared], help="make a voice of a recording", description=_ADD)
    adding.add_argument("name", metavar="NAME", help="1 to 64 letters, digits, _ and -")
    adding.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the recording")
    words = adding.add_mutually_exclusive_group()
    words.add_argument("--text", help="what is said in all of it, word for word")
    words.add_argument(
        "--text-file", type=Path, metavar="TEXT_FILE", help="the same in a file (default: FILE's name with .txt)"
    )
    _add_model(adding)
    adding.add_argument(
        "--style", choices=VOICE_STYLES, help="in front of a conversation, or continued by every utterance"
    )
    adding.add_argument("--force", action="store_true", help="replace a voice; take a text that does not seem to fit")
    adding.set_defaults(run=run_add)

    removing = actions.add_parser("remove", parents=[shared], help="remove one of your own voices")
    removing.add_argument("name", metavar="NAME")
    removing.set_defaults(run=run_remove)

    playing = actions.add_parser("play", parents=[shared], help="play the recording of a voice")
    playing.add_argument("name", metavar="NAME")
    _add_model(playing)
    playing.set_defaults(run=run_play)


def run_list(options: argparse.Namespace, console: Console) -> int:
    """Print the voices; return 0.

    Raises:
        CSMError: the model cannot be found.
    """
    library, own = _library(options.model), _own_folder()
    voices = [
        {
            "name": name,
            "seconds": _seconds(path),
            "from": "own" if own is not None and path.parent == own.path else "model",
            "text": _read_text(library.text_file(name)),
            "file": str(path),
        }
        for name, path in sorted(library.recordings.items())
    ]
    wordless = [
        {"name": name, "seconds": _seconds(path), **_what_it_needs(name, path, options.model, own)}
        for name, path in sorted(library.wordless.items())
    ]
    folder = None if own is None else str(own.path)
    if options.json:
        sys.stdout.write(json.dumps({"folder": folder, "voices": voices, "wordless": wordless}, indent=2) + "\n")
    else:
        print_voices(voices, wordless, options.model, folder)
    return 0


def run_add(options: argparse.Namespace, console: Console) -> int:
    """Make a voice and say what was done; return 0.

    Raises:
        CSMError: the recording or its text cannot be used, the name is taken, or the voice cannot be kept.
    """
    from csm_plugin.conversation.prepared_voice import prepare_file
    from csm_plugin.conversation.voice_folder import check_voice_name

    name, folder = check_voice_name(options.name), _needed_folder()
    if name in folder.recordings and not options.force:
        raise VoiceError(f"there is a voice {name!r} in {folder.path}; choose another name, or replace it with --force")
    recording = options.file or _recording_of(options.model, name)
    voice = prepare_file(recording, _text_for(recording, options), any_text=options.force)
    heard = "not compared with the text" if options.force else _compared(voice)
    with tidying():
        folder.add(name, voice.text, voice.pcm, style=options.style, replace=options.force)
    for line in [*_report(name, voice), f"  words: {heard}"]:
        console.print(line, highlight=False, soft_wrap=True)
    return 0


def run_remove(options: argparse.Namespace, console: Console) -> int:
    """Remove one of the user's own voices; return 0.

    Raises:
        VoiceError: there is none of that name.
    """
    _needed_folder().remove(options.name)
    console.print(f"{options.name}: removed", highlight=False)
    return 0


def run_play(options: argparse.Namespace, console: Console) -> int:
    """Play a voice's recording, or one that comes with the model without its text; return 0.

    Raises:
        CSMError: there is no such voice, or nothing here can play sound.
    """
    from csm_plugin.audio import read_audio
    from csm_plugin.cli import outputs
    from csm_plugin.conversation import VoiceLibrary
    from csm_plugin.conversation.prepared_voice import MAX_RECORDING_S

    name, own = options.name, _own_folder()
    is_own = own is not None and name in own.recordings
    library = VoiceLibrary([], own=own.path) if own is not None and is_own else _library(options.model)
    path = library.wordless.get(name)
    if path is None:
        prompt = library.get(name)
        path, pcm, rate = library.recordings[name], prompt.pcm, prompt.sample_rate
    else:
        pcm, rate = read_audio(path, max_seconds=MAX_RECORDING_S)
    if not outputs.can_play(rate):
        raise SettingsError(
            "nothing here can play sound: install sounddevice (pip install sounddevice) or one of "
            f"{', '.join(outputs.PLAYERS)}; the recording is {path}"
        )
    with tidying(), outputs.loudspeaker(rate) as play:
        play(pcm)
    return 0


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default=default_model(),
        help="whose voices: bundled name, folder, or Hugging Face id (default: $CSM_MODEL, else csm-tiny; now "
        "%(default)s)",
    )


def _library(model: str) -> VoiceLibrary:
    from csm_plugin.conversation import VoiceLibrary
    from csm_plugin.model.checkpoint import find_checkpoint

    return VoiceLibrary.beside(find_checkpoint(model))


def _own_folder() -> VoiceFolder | None:
    from csm_plugin.conversation.voice_folder import VoiceFolder, own_folder

    path = own_folder()
    return None if path is None else VoiceFolder(path)


def _what_it_needs(name: str, path: Path, model: str, own: VoiceFolder | None) -> dict[str, str]:
    """Where a recording without its text is from, and what makes a voice of it."""
    from csm_plugin.conversation.voice_folder import write_text_to

    if own is not None and path.parent == own.path:
        return {"from": "own", "needs": write_text_to(path.with_suffix(".txt"))}
    return {"from": "model", "needs": f'csm voices add {name} --model {model} --text "…"'}


def _needed_folder() -> VoiceFolder:
    folder = _own_folder()
    if folder is None:
        raise VoiceError("there is no folder for your own voices, as there is no home directory; set CSM_VOICES to one")
    return folder


def _recording_of(model: str, name: str) -> Path:
    """Return the recording of that name that comes with a model.

    Raises:
        VoiceError: there is none.
    """
    library = _library(model)
    found = library.raw_recordings
    if name not in found:
        known = f"it has {', '.join(sorted(found))}" if found else "it has none"
        raise VoiceError(f"{model} comes with no recording {name!r} ({known}); give the FILE of one")
    return found[name]


def _text_for(recording: Path, options: argparse.Namespace) -> str:
    """Return the text that is meant for a recording.

    Raises:
        VoiceError: there is none, or its file cannot be read.
    """
    if options.text is not None:
        return str(options.text)
    path = options.text_file or recording.with_suffix(".txt")
    if options.text_file is None and not path.is_file():
        raise VoiceError(f"what is said in {recording.name}? Give it as --text TEXT or --text-file FILE, or in {path}")
    text = _read_text(path)
    if text is None:
        raise VoiceError(f"the text {path} cannot be read; it must be a file of UTF-8 text")
    return text


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _compared(voice: PreparedVoice) -> str:
    """Tell how well a recogniser hears the text in a recording, where there is one.

    Raises:
        VoiceError: it hears hardly any of it.
    """
    from csm_plugin.evaluation.errors import EvaluationError
    from csm_plugin.evaluation.transcript import check_transcript

    try:
        return f"a recogniser hears {1 - check_transcript(voice.text, voice.pcm):.0%} of them as they are written"
    except EvaluationError as error:
        return escape(f"not compared with the text; {error}")


def _report(name: str, voice: PreparedVoice) -> list[str]:
    """Return what was done to a recording."""
    cut = ", cut with its text at the end of a sentence" if voice.is_cut else ""
    return [
        f"[bold]{name}[/]: {voice.seconds:.1f} s of {voice.given_s:.1f} s{cut}",
        f"  speech at {voice.level_db:.1f} dBFS, levelled by {voice.gain_db:+.1f} dB; "
        f"noise {voice.snr_db:.0f} dB below it; {voice.clipped:.2%} of the samples clipped",
        f"  {len(voice.text.split())} words, spoken in {voice.pace:.2f} times the usual time",
    ]


def _seconds(path: Path) -> float | None:
    """Return how long a sound file is; None if it cannot be read."""
    import soundfile

    try:
        return round(float(soundfile.info(path).duration), 2)
    except (soundfile.LibsndfileError, OSError):
        return None
