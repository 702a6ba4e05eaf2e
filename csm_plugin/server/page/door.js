// The way in: wait until the server answers, and for a key that it takes.

import { Refused, ask } from "./line.js";

const RETRY_MS = 2_000;
const $ = (id) => document.getElementById(id);
const [dialog, field, wrong, unlock] = ["door", "key", "wrong", "unlock"].map($);

// Return a key that the server takes; "" where it needs none. `tell` says what is waited for.
export async function enter(key, tell) {
  for (;;) {
    try {
      await ask("v1/models", key);
      return key;
    } catch (error) {
      if (error instanceof Refused && error.status === 401) {
        wrong.textContent = key ? "The server does not know that key." : "";
        key = await askForKey(tell);
      } else {
        tell(error.message, "alarm");
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }
}

// Ask until a key is given; who leaves the dialog can come back to it.
async function askForKey(tell) {
  for (;;) {
    dialog.returnValue = "";
    dialog.showModal();
    await once(dialog, "close");
    const given = field.value;
    field.value = "";
    if (dialog.returnValue && given) return given;
    tell("This server asks for a key.", "alarm");
    unlock.hidden = false;
    unlock.focus();
    await once(unlock, "click");
    unlock.hidden = true;
  }
}

function once(target, event) {
  return new Promise((resolve) => target.addEventListener(event, resolve, { once: true }));
}
