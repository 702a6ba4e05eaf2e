"""The LiveKit agent as a command: what is wrong is said in a line, before LiveKit is imported."""

from __future__ import annotations

import importlib
import os
import sys

from agents.command import run
from agents.livekit_console import console_ends_on_ctrl_c
from csm_plugin.errors import MissingExtraError
from csm_plugin.interruption import INTERRUPTED, result_of, tell_of_interruption

PORTAUDIO = "apt-get install libportaudio2, or brew install portaudio"


def main(module: str) -> int:
    """Run LiveKit's command line with the `server` of a module; return its exit status."""
    return run(module, lambda: _run(module))


def _run(module: str) -> int:
    is_console = sys.argv[1:2] == ["console"] and "--help" not in sys.argv
    if is_console:
        if not has_sound() and "--text" not in sys.argv:
            print("There is no microphone or no loudspeaker here: type instead of talking.", flush=True)
            sys.argv.append("--text")
        _load()
        console_ends_on_ctrl_c()
    from livekit.agents import cli

    from agents.brain import describe_brain

    server = importlib.import_module(module).server
    if is_console:
        print(describe_brain("livekit-agent"), "Ctrl-C ends it.", sep="\n")
        print("LiveKit calls its console deprecated: it would have its own program, lk, start it.", flush=True)
    try:
        cli.run_app(server)
    except SystemExit as left:
        if left.code or not is_console:
            return left.code if isinstance(left.code, int) else 0
    if is_console:  # it goes on until Ctrl-C
        tell_of_interruption()
        return INTERRUPTED
    return 0


def has_sound() -> bool:
    """Whether this machine has a microphone and a loudspeaker.

    Raises:
        MissingExtraError: there is no PortAudio, which LiveKit's console imports even where one types.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise MissingExtraError(f"LiveKit's console needs PortAudio ({error}): {PORTAUDIO}") from None
    try:
        return all(sounddevice.query_devices(kind=kind) for kind in ("input", "output"))
    except (ValueError, sounddevice.PortAudioError):
        return False


def _load() -> None:
    """Load the engine that the console's jobs share, as they are threads of this process."""
    if os.environ.get("TTS_BACKEND", "").strip() or os.environ.get("CSM_BASE_URL"):
        return
    from agents.engine import chosen_model
    from csm_plugin.cli.options import check_model

    model, voice = chosen_model(None), os.environ.get("CSM_VOICE")
    check_model(model, [voice] if voice else [])
    print(f"Loading {model} …", flush=True)
    from csm_plugin.livekit.backends import SharedEngine

    result_of(SharedEngine.of(model).begin())
