// The page: a text goes to the server, and comes back as sound, words and figures.

import { Line, Refused, ask } from "./line.js";
import { Player } from "./player.js";
import { Wave } from "./wave.js";

const RETRY_MS = 2_000;
const $ = (id) => document.getElementById(id);
const [order, text, voice, again, speak] = ["order", "text", "voice", "again", "speak"].map($);

const player = new Player();
const wave = new Wave($("wave"));
let key = "";
let line = null;
let speech = null;
let turn_s = 0; // sound of this conversation since its last interruption, before what is being said

// What is being said: its words, and the moments that count.
class Speech {
  #pieces = [];
  #ordered = performance.now();
  #first = 0;
  #last = 0;
  ended = false;

  constructor(number) {
    this.number = number;
  }

  begin(piece, words) {
    if (piece) $("words").append(" ");
    const spans = words.split(" ").map((word, place) => {
      const span = document.createElement("span");
      span.textContent = word;
      $("words").append(...(place ? [" ", span] : [span]));
      return span;
    });
    this.#pieces[piece] = { spans, words: [], start_s: player.length_s };
  }

  time(piece, words) {
    this.#pieces[piece].words.push(...words);
  }

  hear(samples) {
    this.#last = performance.now();
    this.#first ||= this.#last;
    player.push(samples);
    wave.push(samples);
    $("first").textContent = `${Math.round(this.#first - this.#ordered)} ms`;
    $("rtf").textContent = ((this.#last - this.#ordered) / 1000 / player.length_s).toFixed(2);
    const gaps = player.gaps ? `, ${player.gaps} gap${player.gaps > 1 ? "s" : ""}` : "";
    $("length").textContent = `${player.length_s.toFixed(1)} s${gaps}`;
    tell("Speaking");
  }

  light(heard_s) {
    for (const { spans, words, start_s } of this.#pieces.filter(Boolean)) {
      words.forEach((word, place) => {
        const at = heard_s - start_s;
        spans[place].className = at < word.start_s ? "" : at < word.end_s ? "now" : "said";
      });
    }
  }

  get isOver() {
    return this.ended && player.position_s >= player.length_s - 0.001;
  }

  finish(how) {
    for (const span of $("words").children) {
      if (how === "stopped" && !span.className) span.className = "unheard";
      if (how === "heard" || span.className === "now") span.className = "said";
    }
  }
}

const follow = {
  hello: ({ model, device, dtype, voices }) => {
    $("about").textContent = `${dtype} on ${device}`;
    $("model").textContent = model;
    offer(voices);
  },
  opened: () => {
    again.disabled = voice.disabled = speak.disabled = false;
    if (!speech) tell("Ready");
  },
  voices: ({ voices }) => offer(voices),
  began: ({ piece, text: words }) => speech.begin(piece, words),
  words: ({ piece, words }) => speech.time(piece, words),
  sound: ({ samples }) => speech.hear(samples),
  ended: ({ error }) => error && tell(error.message, "alarm"),
  done: () => {
    speech.ended = true;
    if (player.length_s) return;
    stop("heard");
    if ($("state").className !== "alarm") tell("There is nothing in that text that can be spoken.");
  },
  context: ({ used, positions }) => {
    $("context").textContent = `${used.toLocaleString("en")} of ${positions.toLocaleString("en")}`;
    $("fill").style.width = `${(100 * used) / positions}%`;
  },
  failed: ({ error }) => {
    stop("failed");
    tell(error.message, "alarm");
  },
  closed: ({ error }) => {
    line.close();
    if (error) tell(error.message, "alarm");
  },
  draining: () => tell("The server is about to end.", "alarm"),
  gone: ({ reason }) => {
    if (!speech?.ended) stop("failed");
    speak.disabled = false;
    if ($("state").className === "alarm") return;
    tell(`The conversation is over${reason ? `: ${reason}` : ""}. The next text begins a new one.`);
  },
};

// What still comes of a text that was stopped is passed over.
function receive(message) {
  if ((message.number ?? speech?.number) === speech?.number) follow[message.type]?.(message);
}

function tell(words, kind = "") {
  $("state").textContent = words;
  $("state").className = kind;
}

function offer(voices) {
  const chosen = voice.value;
  voice.replaceChildren(new Option("the default", ""), ...voices.map((name) => new Option(name, name)));
  voice.value = voices.includes(chosen) ? chosen : "";
}

function begin() {
  line?.close();
  turn_s = 0;
  $("context").textContent = "–";
  $("fill").style.width = 0;
  line = new Line(key, voice.value, receive);
}

function start(words) {
  player.wake();
  player.clear();
  wave.clear();
  $("words").replaceChildren();
  for (const id of ["first", "rtf", "length"]) $(id).textContent = "–";
  speech = new Speech(line.say(words));
  speak.textContent = "Stop";
  speak.dataset.does = "stop";
  tell("Waiting for the first sound …");
  requestAnimationFrame(draw);
}

function stop(how) {
  if (!speech) return;
  speech.light(player.position_s);
  speech.finish(how);
  if (how === "stopped") {
    line.interrupt(turn_s + player.position_s);
    turn_s = 0;
  } else {
    turn_s += player.length_s;
  }
  if (how !== "heard") player.stop();
  speech = null;
  speak.textContent = "Speak";
  delete speak.dataset.does;
  if ($("state").className !== "alarm") tell(how === "stopped" ? "Stopped" : "Ready");
}

function draw() {
  const heard_s = player.position_s;
  if (speech) {
    speech.light(heard_s);
    if (speech.isOver) stop("heard");
  }
  wave.draw(heard_s, player.length_s);
  if (speech) requestAnimationFrame(draw);
}

// Wait until the server can speak, and for a key that it takes.
async function enter() {
  for (;;) {
    try {
      await ask("v1/models", key);
      return;
    } catch (error) {
      if (error instanceof Refused && error.status === 401) {
        $("wrong").textContent = key ? "The server does not know that key." : "";
        key = await askForKey();
      } else {
        tell(error.message, "alarm");
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }
}

function askForKey() {
  $("door").showModal();
  return new Promise((resolve) => {
    $("door").addEventListener("close", () => {
      const given = $("key").value;
      $("key").value = "";
      resolve(given);
    }, { once: true });
  });
}

order.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (speech) return stop("stopped");
  const words = text.value.trim();
  if (!words) return;
  if (!line.isOpen) begin();
  start(words);
});

text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) order.requestSubmit();
});

voice.addEventListener("change", () => {
  stop("failed");
  begin();
});

again.addEventListener("click", () => {
  stop("failed");
  $("words").replaceChildren();
  begin();
});

window.addEventListener("resize", draw);
draw();
await enter();
begin();
