// Recordings for voices: from the microphone, or from a file; as a file that the server takes.

import { int16, wavOf } from "./wav.js";

const MOST_MS = 30_000;
const BITS_PER_SECOND = 256_000; // as good as untouched
const TAKEN = [/^RIFF....WAVE/s, /^fLaC/, /^OggS/, /^ID3/, /^\xff[\xe0-\xff]/];

// Why there is no microphone, and what to do.
const REASONS = {
  NotAllowedError: "The browser keeps the microphone from this page. Allow it in the page's settings, beside the address, and press Record again; or choose a file.",
  NotFoundError: "There is no microphone. Plug one in and press Record again, or choose a file.",
  NotReadableError: "Another program has the microphone. Close it and press Record again, or choose a file.",
};
const INSECURE = "Browsers give a page the microphone only where its address begins with https, or is this machine's own. Record with another program, and choose the file.";

export class Recorder {
  #recorder = null;
  #stream = null;
  #context = null;
  #timer = 0;

  get isOn() {
    return this.#recorder !== null;
  }

  // Record until `stop`, or for 30 s; `follow` gets the seconds so far and the level, `done` the recording's file.
  async start(follow, done) {
    if (!navigator.mediaDevices) throw new Error(INSECURE);
    try {
      const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      this.#stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      throw new Error(REASONS[error.name] ?? `The microphone cannot be used (${error.message}). Choose a file.`);
    }
    const pieces = [];
    this.#recorder = new MediaRecorder(this.#stream, { audioBitsPerSecond: BITS_PER_SECOND });
    this.#recorder.addEventListener("dataavailable", ({ data }) => pieces.push(data));
    this.#recorder.addEventListener("stop", () => done(new Blob(pieces)), { once: true });
    this.#recorder.start();
    this.#measure(follow);
  }

  stop() {
    clearInterval(this.#timer);
    const recorder = this.#recorder;
    this.#recorder = null;
    if (recorder?.state === "recording") recorder.stop();
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#context?.close();
    this.#stream = this.#context = null;
  }

  #measure(follow) {
    this.#context = new AudioContext();
    const analyser = new AnalyserNode(this.#context, { fftSize: 2048 });
    this.#context.createMediaStreamSource(this.#stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const began = performance.now();
    this.#timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      const passed = performance.now() - began;
      follow(passed / 1000, Math.min(1, Math.sqrt(power) * 5));
      if (passed >= MOST_MS) this.stop();
    }, 60);
  }
}

// Return what a file holds as the browser decodes it, and a file that the server takes: itself, or a WAV file.
export async function readSound(file) {
  const data = await file.arrayBuffer();
  const start = String.fromCharCode(...new Uint8Array(data.slice(0, 12)));
  const context = new AudioContext();
  try {
    const sound = await context.decodeAudioData(data);
    const isTaken = TAKEN.some((beginning) => beginning.test(start));
    return { sound, blob: isTaken ? file : wavOf([int16(mixed(sound))], sound.sampleRate) };
  } catch {
    throw new Error("This file is no sound that can be read. Choose a WAV, FLAC, MP3, Ogg or M4A recording.");
  } finally {
    context.close();
  }
}

function mixed(sound) {
  const mean = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    sound.getChannelData(channel).forEach((sample, place) => { mean[place] += sample / sound.numberOfChannels; });
  }
  return mean;
}
