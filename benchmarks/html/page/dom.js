// Characters that show nothing by themselves, such as control characters and marks that turn the direction of a text, as escapes.
const visible = (text) => String(text).replace(/(?! )[\p{C}\p{Z}]/gu, (character) => {
  const code = character.codePointAt(0).toString(16);
  return code.length > 4 ? `\\U${code.padStart(8, "0")}` : code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
});

// Makes an element from its name, attributes and children. Texts become text nodes, so no text of a record is markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.map((child) => (child instanceof Node ? child : visible(child))));
  return element;
}

function chooser(label, names, chosen, onchange) {
  const select = make("select", { onchange: () => onchange(Number(select.value)) });
  names.forEach((name, i) => select.append(make("option", { value: i, selected: i === chosen }, name)));
  return make("label", {}, `${label} `, select);
}

const PREFIXES = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

// 1234567, "B" -> 1.235 MB; 36864 -> 36,864
function amount(value, unit = "") {
  if (value == null) return "-";
  if (unit === "B" || Math.abs(value) >= 1e9) {
    const [size, prefix] = PREFIXES.find(([least]) => Math.abs(value) >= least) ?? [1, ""];
    return `${digits(value / size)} ${prefix}${unit}`.trim();
  }
  return `${digits(value)} ${unit}`.trim();
}

// 20000 -> 20k, 0.5 -> 0.5
function short(value) {
  const [size, prefix] = PREFIXES.find(([least]) => Math.abs(value) >= least) ?? [1, ""];
  return `${digits(value / size)}${prefix}`;
}

function digits(value) {
  const whole = Number.isInteger(value) || Math.abs(value) >= 1000;
  return whole ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4)));
}
