// The page: a text goes to the server, and comes back as sound, words and figures.

import { enter } from "./door.js";
import { Absent, Line, ask } from "./line.js";
import { Player, RATE_HZ } from "./player.js";
import { Voices } from "./voices.js";
import { Wave } from "./wave.js";
import { save, wavOf } from "./wav.js";

const $ = (id) => document.getElementById(id);
const [order, text, voice, manage] = ["order", "text", "voice", "manage"].map($);
const [again, speak, keep] = ["again", "speak", "save"].map($);

const player = new Player();
const wave = new Wave($("wave"));
let key = "";
let line = null;
let speech = null;
let sound = []; // what was last spoken, as far as it came
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
    sound.push(samples);
    keep.disabled = false;
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
        const [before, after] = [spans[place].className, at < word.start_s ? "" : at < word.end_s ? "now" : "said"];
        spans[place].className = after;
        if (after === "now" && before !== "now") spans[place].scrollIntoView({ block: "nearest" });
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
    for (const one of [again, voice, manage, speak]) one.disabled = false;
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
    if (!line) return; // it was left for another
    if (!speech?.ended) stop("failed");
    if ($("state").className !== "alarm") {
      tell(`The conversation is over${reason ? `: ${reason}` : ""}. The next text begins a new one.`);
    }
    lookForServer();
  },
};

// What still comes of a text that was stopped is passed over.
function receive(message) {
  if ((message.number ?? speech?.number) === speech?.number) follow[message.type]?.(message);
}

function tell(words, kind = "") {
  $("state").className = kind;
  if ($("state").textContent !== words) $("state").textContent = words; // else a screen reader says it again
}

// See whether the server is still there; if it is not, wait for it and begin anew.
async function lookForServer() {
  try {
    await ask("v1/models", key);
    speak.disabled = false;
  } catch (error) {
    speak.disabled = error instanceof Absent;
    if (!speak.disabled) return;
    key = await enter(key, tell);
    begin();
  }
}

function offer(voices) {
  const chosen = voice.value;
  voice.replaceChildren(new Option("the default", ""), ...voices.map((name) => new Option(name, name)));
  voice.value = voices.includes(chosen) ? chosen : "";
}

function begin() {
  const left = line;
  line = null;
  left?.close();
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
  sound = [];
  keep.disabled = true;
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

keep.addEventListener("click", () => save(wavOf(sound, RATE_HZ), `csm-${voice.value || "speech"}.wav`));

const voices = new Voices(() => key, (name) => {
  stop("failed");
  if (![...voice.options].some(({ value }) => value === name)) voice.append(new Option(name, name));
  voice.value = name;
  begin();
  order.requestSubmit();
});
manage.addEventListener("click", () => voices.open());

window.addEventListener("resize", draw);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
key = await enter(key, tell);
begin();
