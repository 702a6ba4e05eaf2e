"""A caller without a human: headless Chromium with a recorded voice as its microphone; it keeps what it hears."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from playwright.sync_api import Page, sync_playwright

from training.corpus.flite import say

CHROMIUM = Path("/usr/bin/chromium")
HEARD_RATE_HZ = 16_000
PIECE_SAMPLES = 2048
PATIENCE_MS = 40_000

# Every remote audio track is also written down, as int16 samples, and every state that the page shows.
_LISTEN = f"""
window.heard = [];
const Native = RTCPeerConnection;
window.RTCPeerConnection = class extends Native {{
  constructor(...options) {{
    super(...options);
    this.addEventListener("track", ({{ track }}) => {{
      const context = new AudioContext({{ sampleRate: {HEARD_RATE_HZ} }});
      const processor = context.createScriptProcessor({PIECE_SAMPLES}, 1, 1);
      processor.onaudioprocess = (event) => window.heard.push(
        Array.from(event.inputBuffer.getChannelData(0), (sample) => Math.round(sample * 32767)));
      context.createMediaStreamSource(new MediaStream([track])).connect(processor);
      processor.connect(context.destination);
    }});
  }}
}};
window.states = [];
document.addEventListener("DOMContentLoaded", () => {{
  const state = document.getElementById("state");
  const note = () => window.states.push(state.textContent);
  new MutationObserver(note).observe(state, {{ childList: true, characterData: true, subtree: true }});
}});
"""


def record_voice(path: Path, text: str, *, before_s: float) -> None:
    """Write a microphone's recording: silence, a spoken sentence, and silence for two minutes."""
    voice = say(text, "slt", pitch_hz=170.0)
    before, after = (np.zeros(int(seconds * voice.sample_rate), np.float32) for seconds in (before_s, 120.0))
    recording = np.concatenate([before, voice.samples, after])
    soundfile.write(path, recording, voice.sample_rate, subtype="PCM_16")


@contextmanager
def caller(microphone: Path, *, allowed: bool = True) -> Iterator[Page]:
    """A browser page whose microphone plays a recording once, where it is allowed to have it."""
    assert CHROMIUM.exists(), f"no {CHROMIUM}: this test drives the page in it; install Debian's package chromium"
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-features=WebRtcHideLocalIpsWithMdns",
        "--autoplay-policy=no-user-gesture-required",
        *(["--use-fake-ui-for-media-stream"] if allowed else []),
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}%noloop",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=flags)
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(_LISTEN)
        yield page
        browser.close()


def heard(page: Page, last_s: float = 600.0) -> npt.NDArray[np.int16]:
    """What the page has heard so far, at most so much of it, int16 [samples], 16 kHz."""
    pieces = round(last_s * HEARD_RATE_HZ / PIECE_SAMPLES)
    return np.array(page.evaluate(f"window.heard.slice(-{pieces}).flat()"), np.int16)


def forget_states(page: Page) -> None:
    """Forget which states the page has shown."""
    page.evaluate("window.states.length = 0")


def wait_for_reply(page: Page, after: str = "") -> None:
    """Wait until the agent has begun to speak after another state was shown, however short either was to be seen."""
    page.wait_for_function("(after) => states.includes('Speaking', states.indexOf(after) + 1)", arg=after)


def pitch_hz(sound: npt.NDArray[np.int16]) -> float:
    """The strongest frequency of a sound."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum)) * HEARD_RATE_HZ / len(sound)
