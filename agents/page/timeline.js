// The turns of the conversation as bars: who spoke when, when the answer began, and which words were heard.

const SHOWN = 4;
const LEAST_S = 8;
const MARGIN_S = 0.5;
const LETTER_PX = 6; // about as wide as the words' letters

export class Timeline {
  #list;
  #turns = new Map();
  #ahead = 0; // what the agent's clock says when this page's says 0, in seconds
  #frame = 0;

  constructor(list) {
    this.#list = list;
  }

  clear() {
    this.#turns.clear();
    this.#list.replaceChildren();
  }

  show(turn, now) {
    this.#ahead = now - performance.now() / 1000;
    this.#turns.set(turn.number, turn);
    for (const number of [...this.#turns.keys()].sort((a, b) => a - b).slice(0, -SHOWN)) this.#turns.delete(number);
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    const now = this.#ahead + performance.now() / 1000;
    const turns = [...this.#turns.values()].sort((a, b) => a.number - b.number);
    const width = Math.max(LEAST_S, ...turns.map((turn) => end(turn, now) - start(turn))) + MARGIN_S;
    const scale = this.#list.clientWidth / width;
    this.#list.replaceChildren(...turns.map((turn) => row(turn, now, scale)));
    const goesOn = turns.some((turn) => end(turn, now + MARGIN_S) > now);
    this.#frame = goesOn ? requestAnimationFrame(() => this.#draw()) : 0;
  }
}

function row(turn, now, scale) {
  const item = element("li");
  const left = (at) => (at - start(turn)) * scale;
  item.append(element("span", "facts", facts(turn)));
  const track = item.appendChild(element("div", "track"));
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
  const delay = turn.reply_delay_s === null ? [] : [`answered after ${turn.reply_delay_s.toFixed(2)} s`];
  const cut = turn.interrupted_s === null ? [] : ["interrupted"];
  return [`Turn ${turn.number}`, ...delay, ...cut].join(" · ");
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
