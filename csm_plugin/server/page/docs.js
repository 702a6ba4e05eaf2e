// The routes of this server, as its /openapi.json tells them, each with a form that sends it.

const MOST_SHOWN = 20_000; // characters of an answer
const LONGEST_STRING = 160; // characters of one string in it, which may be sound in base64
const LONG_TEXT = 256; // characters from which on a field has several lines
const TRIED_WITH = { input: "Good morning.", text: "Good morning." };

const $ = (id) => document.getElementById(id);
let key = "";
let told = null;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// A header carries bytes, and fetch takes each from a character.
const bytes = (text) => String.fromCharCode(...new TextEncoder().encode(text));
const headers = () => (key ? { Authorization: `Bearer ${bytes(key)}` } : {});
const resolved = (schema) => (schema.$ref ? told.components.schemas[schema.$ref.split("/").pop()] : schema);

// The kind of value that a field takes, of those that it may have.
function plain(schema) {
  const kinds = (schema.anyOf ?? [schema]).filter((one) => one.type !== "null");
  return { ...resolved(kinds.find((one) => !one.$ref) ?? kinds[0]), description: schema.description, default: schema.default };
}

const isFile = (schema) => schema.contentMediaType !== undefined || schema.format === "binary";

function inputFor(id, name, schema, required) {
  const shown = { id, name, required };
  const choices = schema.enum ?? (schema.type === "boolean" ? [true, false] : null);
  if (choices) {
    const all = required ? choices : ["", ...choices];
    return element("select", shown, ...all.map((one) => element("option", { value: one, textContent: one })));
  }
  const placeholder = schema.default === undefined || schema.default === null ? "" : String(schema.default);
  if (isFile(schema)) return element("input", { ...shown, type: "file" });
  if (schema.type === "integer" || schema.type === "number") {
    return element("input", { ...shown, type: "number", step: schema.type === "integer" ? 1 : "any", placeholder });
  }
  const value = required ? (TRIED_WITH[name] ?? "") : "";
  if (schema.type !== "string" || (schema.maxLength ?? 0) > LONG_TEXT) {
    return element("textarea", { ...shown, rows: 2, value, placeholder: schema.type === "string" ? placeholder : "JSON" });
  }
  return element("input", { ...shown, type: "text", value, placeholder });
}

// A field's value as it is sent; undefined where nothing was entered.
function valueOf(input, schema) {
  if (input.type === "file") return input.files[0];
  if (input.value === "") return undefined;
  if (schema.type === "string") return input.value;
  return JSON.parse(input.value);
}

function fieldsOf(operation) {
  const fields = (operation.parameters ?? []).map((one) => ({
    name: one.name, place: one.in, required: one.required, schema: plain({ description: one.description, ...one.schema }),
  }));
  const [kind, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  const body = content ? resolved(content.schema) : {};
  for (const [name, schema] of Object.entries(body.properties ?? {})) {
    fields.push({ name, place: "body", required: body.required?.includes(name) ?? false, schema: plain(schema) });
  }
  return { fields, kind };
}

// What is sent: its address, and what fetch takes.
function orderOf(method, path, kind, given) {
  const query = new URLSearchParams();
  const body = {};
  for (const { name, place, value } of given) {
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (place === "query") query.set(name, value);
    else body[name] = value;
  }
  const address = path.slice(1) + (query.size ? `?${query}` : "");
  const order = { method: method.toUpperCase(), headers: headers() };
  if (kind === "multipart/form-data") {
    order.body = new FormData();
    for (const [name, value] of Object.entries(body)) order.body.set(name, value);
  } else if (kind) {
    order.headers["Content-Type"] = kind;
    order.body = JSON.stringify(body);
  }
  return { address, order };
}

function shortened(text) {
  const cut = (name, value) =>
    typeof value === "string" && value.length > LONGEST_STRING ? `${value.slice(0, LONGEST_STRING)}…` : value;
  try {
    text = JSON.stringify(JSON.parse(text), cut, 2);
  } catch {
    // it is no JSON, and shown as it is
  }
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text;
}

async function send(answer, address, order) {
  for (const old of answer.querySelectorAll("a")) URL.revokeObjectURL(old.href);
  const begun = performance.now();
  answer.replaceChildren(element("p", { textContent: "Sending …" }));
  try {
    const response = await fetch(address, order);
    const first = performance.now() - begun;
    const content = await response.blob();
    const kind = response.headers.get("Content-Type") ?? "nothing";
    const line = `${response.status} ${response.statusText}, ${kind}, ${content.size} bytes, begun after ${first.toFixed(0)} ms`;
    answer.replaceChildren(element("p", { textContent: line, className: response.ok ? "" : "alarm" }));
    if (kind.startsWith("audio/")) {
      const href = URL.createObjectURL(content);
      answer.append(
        element("audio", { controls: true, src: href }),
        element("a", { href, download: "speech", textContent: "Keep it as a file" }),
      );
    } else if (content.size) {
      answer.append(element("pre", { textContent: shortened(await content.text()), tabIndex: 0 }));
    }
  } catch (error) {
    answer.replaceChildren(element("p", { className: "alarm", textContent: `Nothing came back: ${error.message}` }));
  }
}

function routeOf(method, path, operation) {
  const { fields, kind } = fieldsOf(operation);
  const answer = element("div", { className: "answer" });
  answer.setAttribute("role", "status");
  const form = element("form");
  const inputs = fields.map((field) => {
    const id = `${operation.operationId}-${field.name}`;
    const input = inputFor(id, field.name, field.schema, field.required);
    const label = element("label", { htmlFor: id, textContent: field.name + (field.required ? " (needed)" : "") });
    const line = element("div", { className: "field" }, label, input);
    if (field.schema.description) {
      const hint = element("p", { className: "told", id: `${id}-told`, textContent: field.schema.description });
      input.setAttribute("aria-describedby", hint.id);
      line.append(hint);
    }
    form.append(line);
    return input;
  });
  form.append(element("div", { className: "row" }, element("button", { type: "submit", textContent: "Send" })), answer);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = [];
    for (const [index, field] of fields.entries()) {
      inputs[index].setCustomValidity("");
      try {
        const value = valueOf(inputs[index], field.schema);
        if (value !== undefined) given.push({ ...field, value });
      } catch {
        inputs[index].setCustomValidity("This must be JSON.");
        inputs[index].reportValidity();
        return;
      }
    }
    const { address, order } = orderOf(method, path, kind, given);
    send(answer, address, order);
  });
  const summary = element(
    "summary", {},
    element("span", { className: "method", textContent: method.toUpperCase() }),
    element("code", { textContent: path }),
    element("span", { className: "told", textContent: operation.description ?? "" }),
  );
  return element("details", { className: "card" }, summary, form);
}

function show() {
  const groups = new Map();
  for (const [path, operations] of Object.entries(told.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const name = operation.tags?.[0] ?? "";
      if (!groups.has(name)) groups.set(name, [element("h2", { textContent: name })]);
      groups.get(name).push(routeOf(method, path, operation));
    }
  }
  $("routes").replaceChildren(...[...groups.values()].flat());
}

async function load() {
  try {
    const response = await fetch("openapi.json", { headers: headers() });
    $("access").hidden = response.status !== 401;
    if (response.status === 401) {
      $("wrong").textContent = key ? "The server does not know that key." : "";
      $("key").focus();
    } else if (response.ok) {
      told = await response.json();
      show();
    } else {
      $("about").textContent = `The server does not tell its routes: ${response.status}.`;
    }
  } catch (error) {
    $("about").textContent = `The server does not answer: ${error.message}`;
  }
}

$("access").addEventListener("submit", (event) => {
  event.preventDefault();
  key = $("key").value;
  $("key").value = "";
  load();
});

load();
