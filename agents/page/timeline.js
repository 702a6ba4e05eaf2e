// The turns of the conversation as bars: who spoke when, when the answer began, and which words were heard.

import { Scroll } from "./scroll.js";

const SHOWN = 50;
const LEAST_S = 8;
const MARGIN_S = 0.5;
const LETTER_PX = 6; // about as wide as the words' letters

export class Timeline {
  #list;
  #scroll;
  #turns = new Map();
  #rows = new Map();
  #changed = new Set();
  #scale = 0;
  #ahead = 0; // what the agent's clock says when this page's says 0, in seconds
  #frame = 0;

  constructor(list) {
    this.#list = list;
    this.#scroll = new Scroll(list);
    window.addEventListener("resize", () => this.#turns.size && this.#ask());
  }

  clear() {
    for (const kept of [this.#turns, this.#rows, this.#changed]) kept.clear();
    this.#list.replaceChildren();
    this.#scroll.reset();
  }

  show(turn, now) {
    this.#ahead = now - performance.now() / 1000;
    this.#turns.set(turn.number, turn);
    this.#changed.add(turn.number);
    this.#ask();
  }

  #ask() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  // Draw the turns that changed or go on; all of them where their scale changed.
  #draw() {
    this.#frame = 0;
    const now = this.#ahead + performance.now() / 1000;
    const turns = [...this.#turns.values()].sort((a, b) => a.number - b.number);
    for (const { number } of turns.splice(0, Math.max(0, turns.length - SHOWN))) this.#drop(number);
    const width = Math.max(LEAST_S, ...turns.map((turn) => end(turn, now) - start(turn))) + MARGIN_S;
    const scale = this.#list.clientWidth / width;
    const goOn = turns.filter((turn) => end(turn, now + MARGIN_S) > now).map(({ number }) => number);
    for (const turn of turns) {
      if (scale === this.#scale && !this.#changed.has(turn.number) && !goOn.includes(turn.number)) continue;
      const drawn = row(turn, now, scale);
      const before = this.#rows.get(turn.number);
      before ? before.replaceWith(drawn) : this.#list.append(drawn);
      this.#rows.set(turn.number, drawn);
    }
    this.#scroll.follow();
    this.#scale = scale;
    this.#changed.clear();
    if (goOn.length) this.#ask();
  }

  #drop(number) {
    this.#turns.delete(number);
    this.#rows.get(number)?.remove();
    this.#rows.delete(number);
  }
}

// The one measure of an answer's wait, in words: from the end of the user's speech to the first sound of the answer.
export function answered({ reply_delay_s: delay }) {
  return delay === null ? "" : `answered after ${delay.toFixed(2)} s`;
}

function row(turn, now, scale) {
  const item = element("li");
  const left = (at) => (at - start(turn)) * scale;
  item.append(element("span", "facts", facts(turn)));
  const track = item.appendChild(element("div", "track"));
  track.setAttribute("aria-hidden", "true"); // the conversation has the words, and the line above it the figures
  const bars = [...turn.user_speech.map((s) => ["user", s]), ...turn.agent_speech.map((s) => ["agent", s])];
  for (const [who, { start_s: from, end_s: to }] of bars) {
    const bar = track.appendChild(element("i", who));
    bar.style.left = `${left(from)}px`;
    bar.style.width = `${Math.max(0, left(to ?? now) - left(from))}px`;
  }
  const moments = [["token", "first token", turn.first_token_s], ["sound", "first sound", turn.first_audio_s],
    ["cut", "interrupted", turn.interrupted_s]];
  for (const [kind, title, at] of moments) {
    if (at === null) continue;
    const mark = track.appendChild(element("b", kind));
    mark.title = title;
    mark.style.left = `${left(at)}px`;
  }
  let free = 0;
  for (const { text, at_s: at } of turn.words) {
    if (at > now) continue;
    const word = track.appendChild(element("span", "word", text));
    const place = Math.max(free, left(at));
    word.style.left = `${place}px`;
    free = place + (text.length + 1) * LETTER_PX;
  }
  return item;
}

function facts(turn) {
  const cut = turn.interrupted_s === null ? "" : "interrupted";
  return [`Turn ${turn.number}`, answered(turn), cut].filter(Boolean).join(" · ");
}

function moments(turn) {
  const speech = [...turn.user_speech, ...turn.agent_speech].flatMap(({ start_s: from, end_s: to }) => [from, to]);
  return [...speech, turn.first_token_s, turn.first_audio_s, turn.interrupted_s].filter((moment) => moment !== null);
}

function start(turn) {
  return Math.min(...moments(turn));
}

function end(turn, now) {
  const speaks = [...turn.user_speech, ...turn.agent_speech].some(({ end_s: to }) => to === null);
  return Math.max(...moments(turn), ...(speaks ? [now] : []), ...turn.words.map(({ at_s: at }) => at).filter((at) => at <= now));
}

function element(tag, kind = "", text = "") {
  const made = document.createElement(tag);
  made.className = kind;
  made.textContent = text;
  return made;
}
