// The waveform: a bar for each stretch of time, strong as far as it was heard.

const BAR_PX = 3;
const PEAK_SAMPLES = 480;
const LEAST_PEAKS = 250; // 5 s
const [EMPTY, AHEAD, HEARD] = [0.2, 0.45, 1]; // how strong a bar is

export class Wave {
  #canvas;
  #peaks = [];

  constructor(canvas) {
    this.#canvas = canvas;
  }

  clear() {
    this.#peaks = [];
  }

  push(samples) {
    for (let start = 0; start < samples.length; start += PEAK_SAMPLES) {
      const loudest = samples.subarray(start, start + PEAK_SAMPLES).reduce((most, one) => Math.max(most, Math.abs(one)), 0);
      this.#peaks.push(loudest / 32_768);
    }
  }

  // Draw it; `heard` of its `length` seconds were heard.
  draw(heard, length) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = window.devicePixelRatio;
    if (this.#canvas.width !== Math.round(width * scale) || this.#canvas.height !== Math.round(height * scale)) {
      [this.#canvas.width, this.#canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    }
    const pen = this.#canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = getComputedStyle(this.#canvas).color;
    const bars = Math.floor(width / BAR_PX);
    const shown = Math.max(this.#peaks.length, LEAST_PEAKS);
    const reached = length ? (heard / length) * this.#peaks.length : 0;
    for (let bar = 0; bar < bars; bar++) {
      const from = Math.floor((bar * shown) / bars);
      const peaks = this.#peaks.slice(from, Math.max(from + 1, Math.floor(((bar + 1) * shown) / bars)));
      const size = Math.max(2, Math.max(0, ...peaks) * height);
      pen.globalAlpha = !peaks.length ? EMPTY : from < reached ? HEARD : AHEAD;
      pen.fillRect(bar * BAR_PX, (height - size) / 2, BAR_PX - 1, size);
    }
  }
}
