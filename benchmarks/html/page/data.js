"use strict";
// The data of the page. The overview is read at once; the packed parts are unpacked when they are needed.
const Data = JSON.parse(document.getElementById("data").textContent);

const soon = () => new Promise((done) => { setTimeout(done, 20); });

const opened = new Map();

function once(name, make) {
  if (!opened.has(name)) opened.set(name, make());
  return opened.get(name);
}

async function unpacked(id) {
  // the packed parts are at the end of the file; a part is complete when something follows it
  while (document.readyState === "loading" && !document.getElementById(id)?.nextSibling) await soon();
  const text = atob(document.getElementById(id).textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

const keys = () => once("keys", async () => JSON.parse(await unpacked("keys")));

const piece = (number) => once(`runs-${number}`, async () => JSON.parse(await unpacked(`runs-${number}`)));

// Adds a value to a run under its name. An object becomes one field per part; a column of the history becomes a curve.
function put(one, name, value) {
  if (value == null) return;
  if (name === "found") one.found = value;
  else if (name.startsWith("history.")) one.curves[name.slice("history.".length)] = value;
  else if (typeof value === "object" && !Array.isArray(value)) for (const [part, inner] of Object.entries(value)) put(one, `${name}.${part}`, inner);
  else one[name] = value;
}

// All details of one run: fields by their dotted names, and curves.
async function run(number) {
  const one = { curves: {} };
  for (const [name, column] of Object.entries(await piece(Math.floor(number / Data.piece)))) put(one, name, column[number % Data.piece]);
  return one;
}

const plotly = () => once("plotly", async () => {
  const script = document.createElement("script");
  script.textContent = await unpacked("plotly");
  document.head.append(script);
  return window.Plotly;
});
