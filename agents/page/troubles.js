// What can be in the way of a call, and what to do, in words.

export const GONE = "The agent does not answer: its program has ended, or cannot be reached. Start it again with make agent, then press Connect.";
export const LOST = "The connection was lost. The agent is still there: press Connect for a new call.";
export const LEFT = "The agent ended the call. Press Connect for a new one.";
export const NO_SOUND = "The agent answers, but no sound can be sent to it or come from it: a firewall or a proxy may be in the way. Open this page on the machine that the agent runs on, or in the same network.";

const MICROPHONE = {
  NotAllowedError: "The browser keeps the microphone from this page. Allow it in the page's settings, beside the address, and connect again; or type.",
  NotFoundError: "There is no microphone. Plug one in and connect again, or type.",
  NotReadableError: "Another program has the microphone. Close it and connect again, or type.",
};
const INSECURE = "Browsers give a page the microphone only where its address begins with https, or is this machine's own. Open it so, or type.";

// Ask for the microphone: its stream or null, and what is in the way, "" if nothing is.
export async function microphone() {
  if (!navigator.mediaDevices) return { stream: null, trouble: INSECURE };
  try {
    const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    return { stream: await navigator.mediaDevices.getUserMedia({ audio }), trouble: "" };
  } catch (error) {
    const trouble = MICROPHONE[error.name] ?? `The microphone cannot be used (${error.message}). You can type.`;
    return { stream: null, trouble };
  }
}
