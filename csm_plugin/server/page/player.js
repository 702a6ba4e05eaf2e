// Plays sound as it comes, piece behind piece, and knows where it is.

export const RATE_HZ = 24_000;
const AHEAD_S = 0.06; // what is gathered before the first sound, and after a gap

export class Player {
  #context = null;
  #spans = [];
  #sources = new Set();
  #stopped_s = null;
  length_s = 0;
  gaps = 0;

  // Browsers let a page sound only once it was touched.
  wake() {
    this.#context ??= new AudioContext({ sampleRate: RATE_HZ });
    return this.#context.resume();
  }

  // Be silent, and stay where it is.
  stop() {
    this.#stopped_s = this.position_s;
    this.#sources.forEach((source) => source.stop());
    this.#sources.clear();
  }

  clear() {
    this.stop();
    this.#spans = [];
    this.#stopped_s = null;
    this.length_s = this.gaps = 0;
  }

  push(samples) {
    const buffer = this.#context.createBuffer(1, samples.length, RATE_HZ);
    buffer.copyToChannel(Float32Array.from(samples, (sample) => sample / 32_768), 0);
    const source = new AudioBufferSourceNode(this.#context, { buffer });
    source.connect(this.#context.destination);
    const last = this.#spans.at(-1);
    let at = last ? last.at + last.seconds : 0;
    if (at < this.#context.currentTime) {
      at = this.#context.currentTime + AHEAD_S;
      this.gaps += last ? 1 : 0;
    }
    source.start(at);
    source.addEventListener("ended", () => this.#sources.delete(source));
    this.#sources.add(source);
    this.#spans.push({ at, start_s: this.length_s, seconds: buffer.duration });
    this.length_s += buffer.duration;
  }

  // How much of it was heard, in seconds.
  get position_s() {
    if (this.#stopped_s !== null) return this.#stopped_s;
    if (!this.#spans.length) return 0;
    const now = this.#context.currentTime - (this.#context.outputLatency || 0);
    const span = this.#spans.findLast(({ at }) => at <= now);
    return span ? span.start_s + Math.min(now - span.at, span.seconds) : 0;
  }
}
