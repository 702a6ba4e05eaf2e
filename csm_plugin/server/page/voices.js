// The dialog of one's own voices: recorded or uploaded, tried, deleted.

import { ask } from "./line.js";
import { Recorder, readSound } from "./recorder.js";

const PASSAGE = "Please leave the box by the front door. I will be home at six this evening, and then we can sit down, have a cup of tea together, and talk about the summer.";
const $ = (id) => document.getElementById(id);
const [dialog, shelf, told, form] = ["voices", "shelf", "shelf-told", "adding"].map($);
const [name, said, file, record, listen, add] = ["name", "said", "file", "record", "listen", "add"].map($);

export class Voices {
  #key;
  #speak;
  #recorder = new Recorder();
  #recording = null; // { sound, blob }
  #playing = null;

  // `key` gives the server's key; `speak` is called with the name of a voice that is to be tried.
  constructor(key, speak) {
    this.#key = key;
    this.#speak = speak;
    $("voices-close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => this.#rest());
    record.addEventListener("click", () => this.#record());
    listen.addEventListener("click", () => this.#listen());
    file.addEventListener("change", () => file.files.length && this.#take(file.files[0], "upload"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add();
    });
  }

  async open() {
    told.textContent = "";
    refuse("");
    said.value ||= PASSAGE;
    dialog.showModal();
    await this.#list();
  }

  async #list() {
    try {
      const { data } = await ask("v1/voices", this.#key());
      const uploads = data.filter(({ source }) => source === "upload").map(({ id }) => id);
      shelf.replaceChildren(...uploads.map((id) => this.#row(id)));
      if (!uploads.length && !told.textContent) told.textContent = "None yet.";
    } catch (error) {
      told.textContent = sentence(error.message);
    }
  }

  #row(id) {
    const row = document.createElement("li");
    const label = row.appendChild(document.createElement("span"));
    label.textContent = id;
    const use = row.appendChild(button("Try", `Try ${id}`));
    use.addEventListener("click", () => {
      dialog.close();
      this.#speak(id);
    });
    const remove = row.appendChild(button("Delete", `Delete ${id}`));
    const reset = () => call(remove, "Delete", `Delete ${id}`);
    remove.addEventListener("blur", reset);
    remove.addEventListener("click", () => {
      if (remove.textContent === "Delete") return call(remove, "Really delete", `Really delete ${id}`);
      return this.#remove(id);
    });
    return row;
  }

  async #remove(id) {
    try {
      await ask(`v1/voices/${id}`, this.#key(), { method: "DELETE" });
      told.textContent = `${id} was deleted.`;
    } catch (error) {
      told.textContent = sentence(error.message);
    }
    await this.#list();
    $("voices-close").focus(); // its own button is gone
  }

  async #record() {
    if (this.#recorder.isOn) return this.#recorder.stop();
    this.#silence();
    refuse("");
    try {
      const follow = (seconds, level) => {
        $("recording").textContent = `Recording: ${seconds.toFixed(0)} s`;
        $("level").style.width = `${100 * level}%`;
      };
      await this.#recorder.start(follow, (blob) => this.#take(blob, "microphone"));
      file.value = "";
      record.textContent = "Stop recording";
      record.dataset.does = "stop";
    } catch (error) {
      refuse(error.message);
    }
  }

  async #take(blob, from) {
    record.textContent = "Record";
    delete record.dataset.does;
    $("level").style.width = 0;
    refuse("");
    if (!dialog.open) return;
    this.#recording = null;
    listen.disabled = true;
    try {
      this.#recording = await readSound(blob);
      $("recording").textContent = `${this.#recording.sound.duration.toFixed(1)} s from ${from === "upload" ? "the file" : "the microphone"}`;
      listen.disabled = false;
      if (from === "upload" && said.value === PASSAGE) said.value = "";
      if (from === "upload" && !name.value) name.value = nameOf(blob.name);
    } catch (error) {
      $("recording").textContent = "No recording yet.";
      refuse(error.message);
    }
  }

  #listen() {
    if (this.#playing) return this.#silence();
    const context = new AudioContext();
    const source = new AudioBufferSourceNode(context, { buffer: this.#recording.sound });
    source.connect(context.destination);
    source.addEventListener("ended", () => this.#playing === context && this.#silence());
    source.start();
    this.#playing = context;
    listen.textContent = "Stop listening";
  }

  #silence() {
    this.#playing?.close();
    this.#playing = null;
    listen.textContent = "Listen to it";
  }

  async #add() {
    if (!this.#recording) return refuse("There is no recording yet. Press Record and read the text aloud, or choose a file.");
    refuse("");
    add.setAttribute("aria-disabled", "true");
    const fields = new FormData();
    fields.append("name", name.value);
    fields.append("text", said.value);
    fields.append("file", this.#recording.blob, "recording");
    try {
      const { id } = await ask("v1/voices", this.#key(), { method: "POST", body: fields });
      told.textContent = `${id} was added. Try it.`;
      this.#forget();
      await this.#list();
      [...shelf.children].find((row) => row.firstChild.textContent === id)?.querySelector("button").focus();
    } catch (error) {
      refuse(error.message);
    } finally {
      add.removeAttribute("aria-disabled");
    }
  }

  #forget() {
    form.reset();
    said.value = PASSAGE;
    this.#recording = null;
    listen.disabled = true;
    $("recording").textContent = "No recording yet.";
  }

  #rest() {
    this.#recorder.stop();
    this.#silence();
  }
}

function refuse(words) {
  $("refused").textContent = words && sentence(words);
}

function button(words, label) {
  const made = document.createElement("button");
  made.type = "button";
  call(made, words, label);
  return made;
}

function call(button, words, label) {
  button.textContent = words;
  button.setAttribute("aria-label", label);
}

function nameOf(path) {
  return path.replace(/\.[^.]*$/, "").replaceAll(/[^A-Za-z0-9_-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "").slice(0, 64);
}

function sentence(words) {
  return `${words[0].toUpperCase()}${words.slice(1).replace(/[.]?$/, ".")}`;
}
