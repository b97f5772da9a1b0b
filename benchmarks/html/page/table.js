// A table that can be sorted by any column. Numbers sort by value, and missing values are always last.
const SHOWN = 50; // rows, until the reader asks for all
const UNITS = { k: 1e3, M: 1e6, G: 1e9, T: 1e12 };

// "94.8 ± 0.6" -> 94.8; "9,414 to 36,894" -> 9414; "231.5 kB" -> 231500; "80.4 M" -> 80400000; other texts -> NaN
function number(text) {
  const found = /^[^\w-]*(-?[\d,]*\.?\d+(?:e[+-]?\d+)?)(?:\s*([kMGT])B?\b)?/i.exec(text);
  return found ? Number(found[1].replaceAll(",", "")) * (UNITS[found[2]] ?? 1) : NaN;
}

const missing = (text) => text === "-" || text === "";

function comparer(texts) {
  const given = texts.filter((text) => !missing(text));
  const numbers = texts.map(number);
  const numeric = given.every((text) => !Number.isNaN(number(text)));
  return { numeric, compare: (a, b) => (numeric ? numbers[a] - numbers[b] : texts[a].localeCompare(texts[b], "en", { numeric: true })) };
}

function cell(text, best) {
  const [value, spread] = text.split(" ± ");
  const element = make("td", { class: best && "best" }, value);
  if (spread !== undefined) element.append(make("span", { class: "spread" }, ` ± ${spread}`));
  return element;
}

// Rows of texts as CSV. A text that a spreadsheet would compute gets an apostrophe.
const NUMBER = /^(-|[-+]?[\d.,]+(e[-+]?\d+)?( (±|to) [-+]?[\d.,]+)?)$/i;
const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const csv = (rows) => rows.map((row) => row.map((text) => quoted((/^[=+\-@＝＋－＠]/.test(text) && !NUMBER.test(text) ? "'" : "") + visible(text))).join(",") + "\n").join("");

function download(name, text) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

// Makes a table, which has no rows until ``filter`` is called with a function that selects them.
// head: name of the first column, and tip: what it shows; rows: names; links: one address per name, or null;
// columns: {name, tip, cells, best, rising}, where best lists the rows of the best cells, and rising means that higher is
// better; file: the name of its CSV; onsort: is told "column" or "-column" when the reader sorts;
// foot: rows that are never sorted
function sortable({ caption, head, tip: about, rows, links, columns, file, onsort, foot = [] }) {
  const all = [{ name: head, tip: about, cells: rows, best: [], rising: false }, ...columns];
  const sorters = all.map((column) => comparer(column.cells));
  const best = all.map((column) => new Set(column.best));
  const state = { column: -1, falling: false, keep: () => true, whole: false };
  const body = make("tbody");
  const more = make("button", { type: "button", class: "more", hidden: true, onclick: () => { state.whole = true; show(); } });
  const save = make("button", { type: "button", class: "more", onclick: () => download(`${file}.csv`, csv([all.map(({ name }) => name), ...order().map((row) => all.map(({ cells }) => cells[row]))])) }, "CSV");
  const heads = all.map((column, i) => make("th", { scope: "col", "aria-sort": "none", class: sorters[i].numeric || i === 0 ? null : "text" },
    explained(make("button", { type: "button", onclick: () => sort(i, state.column === i ? !state.falling : all[i].rising) }, column.name, make("span", { class: "arrow", "aria-hidden": "true" })), column.tip)));

  function sort(i, falling) {
    Object.assign(state, { column: i, falling });
    onsort?.((falling ? "-" : "") + all[i].name);
    show();
  }

  // The order that a text of ``onsort`` asks for; the table's own for other texts.
  function restore(text) {
    const column = all.findIndex(({ name }) => text === name || text === `-${name}`);
    Object.assign(state, { column, falling: column >= 0 && text !== all[column].name });
  }

  function order() {
    const kept = rows.map((_, row) => row).filter(state.keep);
    if (state.column < 0) return kept;
    const { cells } = all[state.column];
    const { compare } = sorters[state.column];
    const gone = (row) => Number(missing(cells[row]));
    return kept.sort((a, b) => gone(a) - gone(b) || (state.falling ? compare(b, a) : compare(a, b)) || a - b);
  }

  function show() {
    heads.forEach((th, k) => th.setAttribute("aria-sort", k === state.column ? (state.falling ? "descending" : "ascending") : "none"));
    const kept = order();
    const shown = state.whole ? kept : kept.slice(0, SHOWN);
    body.replaceChildren(...shown.map((row) => make("tr", {},
      make("th", { scope: "row" }, links ? make("a", { href: links[row] }, rows[row]) : rows[row]),
      ...columns.map((column, i) => {
        const td = cell(column.cells[row], best[i + 1].has(row));
        if (!sorters[i + 1].numeric) td.classList.add("text");
        return td;
      }))));
    more.hidden = shown.length === kept.length;
    more.textContent = `Show all ${kept.length.toLocaleString("en")} rows`;
    return kept.length;
  }

  const last = make("tfoot", {}, ...foot.map(([name, ...texts]) => make("tr", {}, make("th", { scope: "row" }, name), ...texts.map((text) => make("td", {}, text)))));
  const table = make("table", {}, make("caption", { class: "hidden" }, caption), make("thead", {}, make("tr", {}, ...heads)), body, last);
  const box = make("div", { class: "box", tabindex: "0", role: "region", "aria-label": caption }, table);
  const sized = new ResizeObserver(() => { box.classList.toggle("fits", table.offsetWidth <= box.clientWidth); stick(); });
  for (const element of [box, table]) sized.observe(element);
  return { element: make("div", {}, box, make("div", { class: "below" }, more, save)), box, restore, filter: (keep) => { state.keep = keep; return show(); } };
}
