// One call to the agent: WebRTC for sound, and a data channel that carries Pipecat's RTVI messages.

import { GONE, LEFT, LOST, NO_SOUND, microphone } from "./troubles.js";
import { Timeline, answered } from "./timeline.js";
import { Transcript } from "./transcript.js";

const PING_MS = 1000;
const PROTOCOL = "2.2.0";
const $ = (id) => document.getElementById(id);
const [orb, state, figures, voice] = ["orb", "state", "figures", "voice"].map($);
const [connectButton, muteButton, form, text] = ["connect", "mute", "typing", "text"].map($);
const [notice, aloud] = ["notice", "aloud"].map($);

const timeline = new Timeline($("timeline"));
const transcript = new Transcript($("turns"));

let call = null;

class Call {
  #peer = new RTCPeerConnection();
  #channel = this.#peer.createDataChannel("messages");
  #timers = [];
  #microphone = null;
  #context = new AudioContext();
  #sent = 0;
  #latest = 0;
  ready = false;

  async open() {
    show("off", "Allow the microphone …");
    const { stream, trouble } = await microphone();
    if (call !== this) return stream?.getTracks().forEach((track) => track.stop());
    this.#microphone = stream;
    notice.textContent = trouble;
    show("off", "Connecting …");
    const transceiver = this.#peer.addTransceiver("audio", { direction: "sendrecv" });
    if (this.#microphone) await transceiver.sender.replaceTrack(this.#microphone.getAudioTracks()[0]);
    this.#peer.addEventListener("track", ({ track }) => this.#hear(track));
    this.#peer.addEventListener("connectionstatechange", () => this.#watch());
    this.#channel.addEventListener("open", () => this.#greet());
    this.#channel.addEventListener("message", ({ data }) => this.#receive(JSON.parse(data)));
    this.#channel.addEventListener("close", () => this.#lose(LOST));
    await this.#peer.setLocalDescription(await this.#peer.createOffer());
    await gathered(this.#peer);
    const { sdp, type } = this.#peer.localDescription;
    const response = await fetch("/api/offer", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ sdp, type }),
    }).catch(() => { throw new Error(GONE); });
    if (!response.ok) throw new Error(await refusal(response));
    await this.#peer.setRemoteDescription(await response.json());
  }

  close() {
    this.#timers.forEach(clearInterval);
    this.#microphone?.getTracks().forEach((track) => track.stop());
    this.#peer.close();
    this.#context.close();
  }

  say(content) {
    this.#send("send-text", { content, options: { run_immediately: true, audio_response: true } });
  }

  mute(muted) {
    this.#microphone?.getAudioTracks().forEach((track) => { track.enabled = !muted; });
    this.#signal({ type: "trackStatus", receiver_index: 0, enabled: !muted });
  }

  #greet() {
    this.#timers.push(setInterval(() => this.#channel.readyState === "open" && this.#channel.send("ping"), PING_MS));
    this.#channel.send("ping");
    this.#signal({ type: "trackStatus", receiver_index: 0, enabled: this.#microphone !== null });
    this.#send("client-ready", { version: PROTOCOL, about: { library: "csm-page", library_version: "1" } });
    if (this.#microphone) this.#meter(this.#microphone, ["listening", "hearing"]);
  }

  #send(type, data) {
    this.#channel.send(JSON.stringify({ label: "rtvi-ai", type, id: String(++this.#sent), data }));
  }

  #signal(message) {
    this.#channel.send(JSON.stringify({ type: "signalling", message }));
  }

  #hear(track) {
    voice.srcObject = new MediaStream([track]);
    this.#meter(voice.srcObject, ["speaking"]);
  }

  #watch() {
    if (!["failed", "closed", "disconnected"].includes(this.#peer.connectionState)) return;
    this.#lose(this.ready ? LOST : NO_SOUND);
  }

  // Hang up, and say why; an agent that is gone is told apart from a call that was lost.
  async #lose(reason) {
    if (call !== this) return;
    hangUp();
    const words = (await status()) ? reason : GONE;
    if (!call) notice.textContent = words;
  }

  #meter(stream, states) {
    const analyser = new AnalyserNode(this.#context, { fftSize: 512 });
    this.#context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.#timers.push(setInterval(() => {
      if (!states.includes(orb.dataset.state)) return;
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      orb.style.setProperty("--level", Math.min(1, Math.sqrt(power) * 5).toFixed(3));
    }, 60));
  }

  #receive({ label, type, data, message }) {
    if (type === "signalling" && message?.type === "peerLeft") this.#lose(LEFT);
    if (label === "rtvi-ai") this.#events[type]?.(data);
  }

  #events = {
    "bot-ready": () => {
      this.ready = true;
      show("listening", "Listening");
      aloud.textContent = this.#microphone ? "Connected. Speak, or type." : "Connected. Type.";
      muteButton.disabled = this.#microphone === null;
      for (const field of form.elements) field.disabled = false;
    },
    "user-started-speaking": () => show("hearing", "Hearing you"),
    "user-stopped-speaking": () => show("listening", "Thinking"),
    "user-input": ({ text: words, final }) => {
      if (!final) return;
      transcript.write("user", "You", words);
      transcript.endTurn();
      aloud.textContent = `You: ${words}`; // what the agent says is heard already
    },
    "bot-output": (data) => transcript.show(data),
    "bot-started-speaking": () => show("speaking", "Speaking"),
    "bot-stopped-speaking": () => show("listening", "Listening"),
    "bot-interrupted": () => transcript.interrupt(),
    "bot-llm-started": () => transcript.endTurn(),
    "server-message": ({ type, turn, now_s: now }) => {
      if (type !== "turn") return;
      timeline.show(turn, now);
      if (turn.number >= this.#latest) figures.textContent = answered(turn) || figures.textContent;
      this.#latest = Math.max(this.#latest, turn.number);
    },
    "error": ({ error }) => {
      transcript.write("error", "Error", error);
      aloud.textContent = `Error: ${error}`;
    },
  };
}

// Why a call was refused, in the agent's words.
async function refusal(response) {
  const { detail } = await response.json().catch(() => ({}));
  return `The agent refused the call: ${typeof detail === "string" ? detail : response.status}.`;
}

// What the agent says of itself; null where it does not answer.
function status() {
  return fetch("/status").then((response) => response.json()).catch(() => null);
}

function gathered(peer) {
  return new Promise((resolve) => {
    const check = () => peer.iceGatheringState === "complete" && resolve();
    peer.addEventListener("icegatheringstatechange", check);
    check();
  });
}

function show(name, words) {
  orb.dataset.state = name;
  orb.style.setProperty("--level", 0);
  state.textContent = words;
}

function hangUp(words = "Not connected", name = "off") {
  call?.close();
  call = null;
  show(name, words);
  aloud.textContent = words;
  connectButton.textContent = "Connect";
  const holder = document.activeElement;
  if (holder === muteButton || form.contains(holder)) connectButton.focus(); // they are about to lose it
  muteButton.disabled = true;
  muteButton.setAttribute("aria-pressed", "false");
  for (const field of form.elements) field.disabled = true;
}

connectButton.addEventListener("click", async () => {
  if (call) return hangUp();
  transcript.clear();
  timeline.clear();
  figures.textContent = notice.textContent = "";
  connectButton.textContent = "Hang up"; // and not disabled, so that it keeps the focus
  const opened = call = new Call();
  try {
    await opened.open();
  } catch (error) {
    if (call !== opened) return;
    hangUp("Not connected", "error");
    notice.textContent = error.message;
  }
});

muteButton.addEventListener("click", () => {
  const muted = muteButton.getAttribute("aria-pressed") !== "true";
  muteButton.setAttribute("aria-pressed", String(muted));
  call?.mute(muted);
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const words = text.value.trim();
  if (!words || !call?.ready) return;
  call.say(words);
  text.value = "";
});

const agent = await status();
if (agent) {
  $("about").textContent = [
    `The voice: ${[agent.model, agent.voice].filter(Boolean).join(", ")}`,
    agent.llm ? `the answers: ${agent.llm}` : "",
  ].filter(Boolean).join("; ");
  $("rules").hidden = agent.llm !== null;
  $("rules").open = matchMedia("(min-width: 46.01rem)").matches;
  $("ollama").textContent = agent.with_ollama;
} else {
  notice.textContent = GONE;
}
