// The overview with its filters, and the navigation between the overview and the runs.
const FACETS = ["suite", "modality", "backbone", "rule"];
const FEW = 12; // comparisons whose contents are open from the start
const $ = (id) => document.getElementById(id);
const ids = slugs(Data.sections.map(({ title }) => title));

function built(section, number) {
  const id = ids[number];
  const links = section.spans ? section.rows.map((_, row) => `#runs/${number}/${row}`) : null;
  const table = sortable({ caption: section.title, head: section.head, tip: section.tip, rows: section.rows, links, columns: section.columns, foot: section.foot, file: id, onsort: (text) => Address.set(`sort.${id}`, text) });
  const plot = section.accuracy?.length && section.costs.length ? pareto(section, number, (name, value) => Address.set(`${name}.${id}`, value)) : null;
  const runs = section.spans ? section.spans.at(-1) - section.spans[0] : 0;
  const facts = section.spans ? `${section.heading}; ${runs.toLocaleString("en")} runs, ${section.rows.length.toLocaleString("en")} rows, ${section.seeds} seed${section.seeds === 1 ? "" : "s"}; checkpoint rule ${section.rule}` : null;
  const element = make("section", { class: "comparison", id },
    make("h2", {}, section.title), ...(facts ? [make("p", { class: "facts" }, facts)] : []), table.element,
    make("ul", { class: "notes" }, ...section.notes.map((note) => make("li", {}, note))), ...(plot ? [plot.element] : []));
  const entry = make("li", {}, make("a", { href: `#at=${encodeURIComponent(id)}`, onclick: (event) => { event.preventDefault(); Address.set("at", id); element.scrollIntoView(); } }, section.title));
  return { section, element, entry, table, plot };
}

const sections = Data.sections.map(built);

function filter() {
  const chosen = FACETS.map((name) => [name, $(name).value]).filter(([, value]) => value !== "");
  const sought = $("method").value.toLowerCase().split(",").map((word) => word.trim()).filter((word) => word !== "");
  let [comparisons, rows, tables] = [0, 0, 0];
  for (const { section, element, entry, table, plot } of sections) {
    const fits = chosen.every(([name, value]) => section[name] === undefined || section[name] === value); // a table of several rules has no rule of its own
    const keep = (row) => sought.length === 0 || sought.some((word) => section.rows[row].toLowerCase().includes(word));
    const kept = fits ? table.filter(keep) : 0;
    element.hidden = entry.hidden = kept === 0;
    tables += Number(kept > 0);
    if (kept > 0) plot?.filter(keep);
    if (kept > 0 && section.spans) { comparisons += 1; rows += kept; }
  }
  $("nothing").hidden = tables > 0;
  $("contents").hidden = tables < 2;
  $("found").textContent = `${comparisons} comparison${comparisons === 1 ? "" : "s"}, ${rows.toLocaleString("en")} row${rows === 1 ? "" : "s"}`;
}

function changed() {
  for (const name of [...FACETS, "method"]) Address.set(name, $(name).value);
  filter();
}

// Shows the overview as its address says.
function show(state) {
  Address.last = String(state);
  for (const name of FACETS) {
    $(name).value = state.get(name) ?? "";
    if ($(name).selectedIndex < 0) $(name).value = ""; // a value that this page does not have
  }
  $("method").value = state.get("method") ?? "";
  sections.forEach(({ table, plot }, number) => {
    table.restore(state.get(`sort.${ids[number]}`) ?? "");
    plot?.restore((name) => state.get(`${name}.${ids[number]}`));
  });
  filter();
  $("detail").hidden = true;
  $("overview").hidden = false;
}

let height = 0; // the scroll position of the overview when the reader left it

async function route() {
  const [, kind, first, second] = /^#(runs|run)\/([^/]*)\/?(.*)$/.exec(location.hash) ?? [];
  const detail = $("detail");
  if (!kind) {
    const state = Address.overview();
    const left = $("overview").hidden;
    show(state);
    if (left) scrollTo(0, height); else sections[ids.indexOf(state.get("at"))]?.element.scrollIntoView();
    return;
  }
  const asked = location.hash;
  if (!$("overview").hidden) height = scrollY;
  const section = Data.sections[Number(first)];
  const known = kind === "run" || section?.rows[Number(second)] !== undefined;
  const parts = !known ? [back(), make("h2", {}, "No such row")] : kind === "run" ? await found(decodeURIComponent(first)) : await listed(Number(first), Number(second));
  if (location.hash !== asked) return; // the reader has moved on meanwhile
  detail.replaceChildren(...parts);
  $("overview").hidden = true;
  detail.hidden = false;
  scrollTo(0, 0);
  detail.focus({ preventScroll: true });
}

for (const name of FACETS) {
  const values = [...new Set(Data.sections.map((section) => section[name]).filter((value) => value !== undefined))].sort();
  $(name).append(make("option", { value: "" }, "all"), ...values.map((value) => make("option", { value }, value)));
}
$("filters").addEventListener("input", changed);
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("clear").addEventListener("click", () => { for (const name of [...FACETS, "method"]) $(name).value = ""; changed(); });
$("sections").append(...sections.map(({ element }) => element));
$("contents").append(make("ol", {}, ...sections.map(({ entry }) => entry)));
$("contents").open = sections.length <= FEW && matchMedia("(min-width: 721px)").matches;
const themed = () => { $("theme").textContent = Theme.dark() ? "Light" : "Dark"; $("theme").setAttribute("aria-pressed", String(Theme.dark())); };
$("theme").addEventListener("click", () => Theme.choose(Theme.dark() ? "light" : "dark"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("theme")));
addEventListener("theme", themed);
addEventListener("hashchange", route);
themed();
show(Address.overview() ?? new URLSearchParams());
route().then(stick);
