// The server's WebSocket with one conversation on it, as docs/server.md describes both.

const CONVERSATION = 1;
const [HEADER_BYTES, SOUND] = [16, 1];
const PING_MS = 30_000;

// Ask one of the server's routes; throws a Refused, or an Absent where no server answers.
export async function ask(path, key, request = {}) {
  const headers = key ? { Authorization: `Bearer ${bytes(key)}` } : {};
  const answer = await fetch(path, { ...request, headers }).catch(() => { throw new Absent(); });
  if (answer.status === 204) return null;
  if (answer.ok) return answer.json();
  const told = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, told.error?.message ?? `the server answers ${answer.status}`);
}

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Absent extends Error {
  constructor() {
    super("The server does not answer: it has ended, or cannot be reached. Start it again with csm serve; this page waits for it.");
  }
}

export class Line {
  #socket;
  #timer;
  #number = 0;
  #waiting = [];
  #follow;

  // `follow` gets every message of the server's; sound as type "sound", and at last the type "gone".
  constructor(key, voice, follow) {
    const address = new URL("v1/stream", document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    this.#follow = follow;
    this.#socket = new WebSocket(address, key ? ["csm.v1", `csm.key.${base64url(key)}`] : ["csm.v1"]);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.addEventListener("open", () => this.#waiting.forEach((message) => this.#socket.send(message)));
    this.#socket.addEventListener("message", ({ data }) => this.#receive(data));
    this.#socket.addEventListener("close", ({ reason }) => this.#end(reason));
    this.#send({ type: "open", voice: voice || null, ledger: true });
    this.#timer = setInterval(() => document.hidden || this.#send({ type: "ping" }, {}), PING_MS);
  }

  get isOpen() {
    return this.#socket.readyState <= WebSocket.OPEN;
  }

  // Have a text said, sentence by sentence; return its number.
  say(text) {
    const number = ++this.#number;
    this.#send({ type: "append", number, text });
    this.#send({ type: "commit", number });
    return number;
  }

  // Stop, and let the conversation hold only what was heard since the last interruption.
  interrupt(heard_s) {
    this.#send({ type: "interrupt", heard_s });
  }

  close() {
    this.#end("");
    this.#socket.close();
  }

  #send(message, about = { conversation: CONVERSATION }) {
    const text = JSON.stringify({ ...message, ...about });
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#waiting.push(text);
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  #receive(data) {
    if (typeof data === "string") return this.#follow(JSON.parse(data));
    const header = new DataView(data);
    if (header.getUint8(0) !== SOUND) return;
    const [piece, number] = [header.getUint16(2, true), header.getUint32(8, true)];
    this.#follow({ type: "sound", number, piece, samples: new Int16Array(data, HEADER_BYTES) });
  }

  #end(reason) {
    clearInterval(this.#timer);
    const follow = this.#follow;
    this.#follow = () => {};
    follow({ type: "gone", reason });
  }
}

function bytes(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

function base64url(text) {
  return btoa(bytes(text)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
