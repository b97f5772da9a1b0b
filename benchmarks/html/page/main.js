// The overview with its filters, and the navigation between the overview and the runs.
const FACETS = ["suite", "modality", "backbone", "rule"];
const $ = (id) => document.getElementById(id);

function built(section, number) {
  const links = section.spans ? section.rows.map((_, row) => `#runs/${number}/${row}`) : null;
  const table = sortable({ caption: section.title, head: section.head, rows: section.rows, links, columns: section.columns, foot: section.foot });
  const plot = section.accuracy?.length && section.costs.length ? pareto(section, number) : null;
  const runs = section.spans ? section.spans.at(-1) - section.spans[0] : 0;
  const facts = section.spans ? `${section.heading}; ${runs.toLocaleString("en")} runs, ${section.rows.length.toLocaleString("en")} rows, ${section.seeds} seed${section.seeds === 1 ? "" : "s"}; checkpoint rule ${section.rule}` : null;
  const element = make("section", { class: "comparison", id: `comparison-${number}` },
    make("h2", {}, section.title), ...(facts ? [make("p", { class: "facts" }, facts)] : []), table.element,
    make("ul", { class: "notes" }, ...section.notes.map((note) => make("li", {}, note))), ...(plot ? [plot.element] : []));
  return { section, element, table, plot };
}

const sections = Data.sections.map(built);

function filter() {
  const chosen = FACETS.map((name) => [name, $(name).value]).filter(([, value]) => value !== "");
  const sought = $("method").value.trim().toLowerCase();
  let [comparisons, rows] = [0, 0];
  for (const { section, element, table, plot } of sections) {
    const fits = chosen.every(([name, value]) => section[name] === undefined || section[name] === value); // a table of several rules has no rule of its own
    const keep = (row) => section.rows[row].toLowerCase().includes(sought);
    const kept = fits ? table.filter(keep) : 0;
    element.hidden = kept === 0;
    if (kept > 0) plot?.filter(keep);
    if (kept > 0 && section.spans) { comparisons += 1; rows += kept; }
  }
  $("found").textContent = `${comparisons} comparison${comparisons === 1 ? "" : "s"}, ${rows.toLocaleString("en")} row${rows === 1 ? "" : "s"}`;
}

let height = 0; // the scroll position of the overview when the reader left it

async function route() {
  const [, kind, first, second] = /^#(runs|run)\/([^/]*)\/?(.*)$/.exec(location.hash) ?? [];
  const detail = $("detail");
  if (!kind) {
    detail.hidden = true;
    $("overview").hidden = false;
    scrollTo(0, height);
    return;
  }
  const asked = location.hash;
  if (!$("overview").hidden) height = scrollY;
  const section = Data.sections[Number(first)];
  const known = kind === "run" || section?.rows[Number(second)] !== undefined;
  const parts = !known ? [back("#", "all comparisons"), make("h2", {}, "No such row")] : kind === "run" ? await found(decodeURIComponent(first)) : await listed(Number(first), Number(second));
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
$("filters").addEventListener("input", filter);
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("sections").append(...sections.map(({ element }) => element));
const themed = () => { $("theme").textContent = Theme.dark() ? "Light" : "Dark"; $("theme").setAttribute("aria-pressed", String(Theme.dark())); };
$("theme").addEventListener("click", () => Theme.choose(Theme.dark() ? "light" : "dark"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("theme")));
addEventListener("theme", themed);
addEventListener("hashchange", route);
themed();
filter();
route();
