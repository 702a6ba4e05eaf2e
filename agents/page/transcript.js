// What was said, by whom, and how much of it was heard.

import { Scroll } from "./scroll.js";

export class Transcript {
  #list;
  #turn = null; // the agent's, while it goes on
  #segments = new Map();
  #scroll;

  constructor(list) {
    this.#list = list;
    this.#scroll = new Scroll(list);
  }

  clear() {
    this.#list.replaceChildren();
    this.#segments.clear();
    this.#turn = null;
    this.#scroll.reset();
  }

  write(kind, name, words = "") {
    const item = document.createElement("li");
    item.className = kind;
    item.appendChild(document.createElement("b")).textContent = name;
    item.appendChild(document.createElement("span")).textContent = words;
    this.#list.append(item);
    this.#scroll.follow();
    return item;
  }

  // What the agent says next is a turn of its own.
  endTurn() {
    this.#turn = null;
  }

  // What was not heard yet never will be.
  interrupt() {
    for (const span of this.#list.querySelectorAll("span.ahead")) span.className = "unheard";
    this.#turn = null;
  }

  // Show a sentence of the agent's, and how far it was heard; RTVI's `bot-output`.
  show({ text: words, segment_id: id, spoken_status: status, spoken_progress: progress }) {
    let segment = this.#segments.get(id);
    if (!segment) {
      this.#turn ??= this.write("agent", "Agent");
      segment = ["", "ahead"].map((kind) => {
        const span = this.#turn.appendChild(document.createElement("span"));
        span.className = kind;
        return span;
      });
      this.#segments.set(id, segment);
    }
    const [heard, ahead] = segment;
    if (ahead.className === "ahead") {
      heard.textContent = status === "completed" ? `${words} ` : (progress?.accumulated_text ?? "");
      ahead.textContent = status === "completed" ? "" : `${progress?.remaining_text ?? words} `;
    }
    this.#scroll.follow();
  }
}
