"""CSM on Modal, as Sesame_TTS has it: `modal deploy examples/modal_app.py`.

On Modal `SesameTTSService` has the methods `generate_speech` and `generate_speech_with_context`; at its web address are
`POST /generate` and the WebSocket `/ws`. Put CSM_API_KEYS for that address, and HF_TOKEN for gated weights, into the
secret `csm`. On this machine, with or without Modal:

    CSM_MODEL=csm-tiny python examples/modal_app.py "Hello from Sesame TTS!" hello.wav
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import modal
except ImportError:  # to try it here, Modal is not needed
    modal = None

if TYPE_CHECKING:
    from fastapi import FastAPI

MODEL = "sesame/csm-1b"
CALLERS = 8
CLONE = Path(__file__).parents[1]


class Service:
    """Speaks. One lives in each container."""

    def start(self) -> None:
        """Load the model; once in a container."""
        from csm_plugin.compat.sesame_tts import SesameTTS
        from csm_plugin.engine import Engine

        engine = Engine.load(os.environ.get("CSM_MODEL", MODEL), max_conversations=CALLERS)
        engine.synthesize("Hello.")  # the first caller does not wait for the warm-up
        self.tts = SesameTTS(engine)

    def stop(self) -> None:
        """Free the device."""
        self.tts.engine.close()

    def generate_speech(
        self, text: str, speaker: int = 0, max_audio_length_ms: float = 10_000, temperature: float = 0.9, topk: int = 50
    ) -> bytes:
        """Speak a text: a WAV file."""
        return self.tts.generate_speech(text, speaker, max_audio_length_ms, temperature, topk)

    def generate_speech_with_context(
        self, text: str, speaker: int, context_segments: list[dict[str, Any]], max_audio_length_ms: float = 10_000,
        temperature: float = 0.9, topk: int = 50,
    ) -> bytes:  # fmt: skip
        """Speak a text after segments with `text`, `speaker` and `audio_tensor`: a WAV file."""
        return self.tts.generate_speech_with_context(
            text, speaker, context_segments, max_audio_length_ms, temperature, topk
        )

    def web(self) -> FastAPI:
        """Return the server's app, on the same engine."""
        from csm_plugin.server.app import create_app
        from csm_plugin.server.shared.settings import read_settings

        return create_app(read_settings(), load=lambda: self.tts.engine)


if modal is None:
    SesameTTSService = Service
else:
    app = modal.App("voice-stack")
    image = (
        modal.Image.debian_slim(python_version="3.12")
        .add_local_dir(CLONE, "/csm-plugin", copy=True, ignore=[".git", ".venv", "build"])
        .run_commands('pip install "/csm-plugin[server]"')
        .env({"HF_HOME": "/cache", "CSM_MODEL": MODEL})
    )
    key = modal.Secret.from_name("csm")

    @app.cls(
        image=image, gpu="L4", secrets=[key], timeout=15 * 60,
        volumes={"/cache": modal.Volume.from_name("csm-models", create_if_missing=True)},
    )  # fmt: skip
    @modal.concurrent(max_inputs=CALLERS)
    class SesameTTSService(Service):  # type: ignore[no-redef]
        """The service, as Modal runs it."""

        start = modal.enter()(Service.start)
        stop = modal.exit()(Service.stop)
        generate_speech = modal.method()(Service.generate_speech)
        generate_speech_with_context = modal.method()(Service.generate_speech_with_context)
        web = modal.asgi_app()(Service.web)


def main(text: str = "Hello from Sesame TTS!", path: str = "hello.wav") -> None:
    """Speak a text into a file, on this machine."""
    service = Service()
    service.start()
    try:
        Path(path).write_bytes(service.generate_speech(text))
    finally:
        service.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
