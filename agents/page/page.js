// One call to the agent: WebRTC for sound, and a data channel that carries Pipecat's RTVI messages.

import { Timeline } from "./timeline.js";

const PING_MS = 1000;
const PROTOCOL = "2.2.0";
const $ = (id) => document.getElementById(id);
const [orb, state, figures, turns, voice] = ["orb", "state", "figures", "turns", "voice"].map($);
const [connectButton, muteButton, form, text] = ["connect", "mute", "typing", "text"].map($);

const timeline = new Timeline($("timeline"));

let call = null;

class Call {
  #peer = new RTCPeerConnection();
  #channel = this.#peer.createDataChannel("messages");
  #timers = [];
  #microphone = null;
  #context = new AudioContext();
  #turn = null;
  #segments = new Map();
  #stoppedSpeaking = 0;
  #sent = 0;
  ready = false;

  async open() {
    this.#microphone = await microphone();
    const transceiver = this.#peer.addTransceiver("audio", { direction: "sendrecv" });
    if (this.#microphone) await transceiver.sender.replaceTrack(this.#microphone.getAudioTracks()[0]);
    this.#peer.addEventListener("track", ({ track }) => this.#hear(track));
    this.#peer.addEventListener("connectionstatechange", () => this.#watch());
    this.#channel.addEventListener("open", () => this.#greet());
    this.#channel.addEventListener("message", ({ data }) => this.#receive(JSON.parse(data)));
    await this.#peer.setLocalDescription(await this.#peer.createOffer());
    await gathered(this.#peer);
    const { sdp, type } = this.#peer.localDescription;
    const response = await fetch("/api/offer", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ sdp, type }),
    });
    if (!response.ok) throw new Error(`The agent refused the call (${response.status}).`);
    await this.#peer.setRemoteDescription(await response.json());
  }

  close() {
    this.#timers.forEach(clearInterval);
    this.#microphone?.getTracks().forEach((track) => track.stop());
    this.#peer.close();
    this.#context.close();
  }

  say(content) {
    this.#stoppedSpeaking = performance.now();
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
    if (["failed", "closed", "disconnected"].includes(this.#peer.connectionState)) hangUp("The connection was lost");
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
    if (type === "signalling" && message?.type === "peerLeft") hangUp("The agent left");
    if (label === "rtvi-ai") this.#events[type]?.(data);
  }

  #events = {
    "bot-ready": () => {
      this.ready = true;
      show("listening", "Listening");
      muteButton.disabled = this.#microphone === null;
      for (const field of form.elements) field.disabled = false;
    },
    "user-started-speaking": () => show("hearing", "Hearing you"),
    "user-stopped-speaking": () => {
      this.#stoppedSpeaking = performance.now();
      show("listening", "Thinking");
    },
    "user-input": ({ text: words, final }) => {
      if (!final) return;
      write("user", "You").textContent = words;
      this.#turn = null;
    },
    "bot-output": (data) => this.#output(data),
    "bot-started-speaking": () => {
      show("speaking", "Speaking");
      if (this.#stoppedSpeaking) {
        figures.textContent = `began to speak after ${seconds(performance.now() - this.#stoppedSpeaking)}`;
      }
      this.#stoppedSpeaking = 0;
    },
    "bot-stopped-speaking": () => show("listening", "Listening"),
    "bot-interrupted": () => {
      for (const span of turns.querySelectorAll("span.ahead")) span.className = "unheard";
      this.#turn = null;
    },
    "bot-llm-started": () => { this.#turn = null; },
    "server-message": ({ type, turn, now_s: now }) => { if (type === "turn") timeline.show(turn, now); },
    "error": ({ error }) => { write("error", "Error").textContent = error; },
  };

  #output({ text: words, segment_id: id, spoken_status: status, spoken_progress: progress }) {
    let segment = this.#segments.get(id);
    if (!segment) {
      this.#turn ??= write("agent", "Agent").parentElement;
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
    turns.scrollTop = turns.scrollHeight;
  }
}

async function microphone() {
  try {
    const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    write("error", "No microphone").textContent = `You can type. (${error.message})`;
    return null;
  }
}

function gathered(peer) {
  return new Promise((resolve) => {
    const check = () => peer.iceGatheringState === "complete" && resolve();
    peer.addEventListener("icegatheringstatechange", check);
    check();
  });
}

function write(kind, name) {
  const item = turns.appendChild(document.createElement("li"));
  item.className = kind;
  item.appendChild(document.createElement("b")).textContent = name;
  const span = item.appendChild(document.createElement("span"));
  turns.scrollTop = turns.scrollHeight;
  return span;
}

function show(name, words) {
  orb.dataset.state = name;
  orb.style.setProperty("--level", 0);
  state.textContent = words;
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(2)} s`;
}

function hangUp(words = "Not connected", name = "off") {
  call?.close();
  call = null;
  show(name, words);
  connectButton.textContent = "Connect";
  connectButton.disabled = false;
  muteButton.disabled = true;
  muteButton.setAttribute("aria-pressed", "false");
  muteButton.textContent = "Mute";
  for (const field of form.elements) field.disabled = true;
}

connectButton.addEventListener("click", async () => {
  if (call) return hangUp();
  turns.replaceChildren();
  timeline.clear();
  figures.textContent = "";
  connectButton.disabled = true;
  show("off", "Connecting …");
  call = new Call();
  try {
    await call.open();
    connectButton.textContent = "Hang up";
    connectButton.disabled = false;
  } catch (error) {
    hangUp(error.message, "error");
  }
});

muteButton.addEventListener("click", () => {
  const muted = muteButton.getAttribute("aria-pressed") !== "true";
  muteButton.setAttribute("aria-pressed", String(muted));
  muteButton.textContent = muted ? "Unmute" : "Mute";
  call?.mute(muted);
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const words = text.value.trim();
  if (words && call?.ready) call.say(words);
  text.value = "";
});

const { model, voice: voiceName } = await (await fetch("/status")).json();
$("about").textContent = `The voice: ${[model, voiceName].filter(Boolean).join(", ")}`;
