// The runs of one row, and the page of one run.
const percent = (value) => (value == null ? "-" : (100 * value).toFixed(1));

function shown(value) {
  if (value == null) return "-";
  if (typeof value === "number") return Number.isInteger(value) ? value.toLocaleString("en", { useGrouping: value > 9999 }) : String(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function back(href = `#${Address.last}`, text = "all comparisons") {
  return make("p", {}, make("a", { class: "back", href }, `← ${text}`));
}

async function listed(number, row) {
  const section = Data.sections[number];
  const [start, end] = section.spans.slice(row, row + 2);
  const addresses = (await keys()).slice(start, end);
  const runs = await Promise.all(Array.from({ length: end - start }, (_, i) => run(start + i)));
  const column = (name, read, rising = false) => ({ name, cells: runs.map(read), best: [], rising });
  const table = sortable({
    caption: `Runs of ${section.rows[row]}`, head: "run", file: `runs of ${section.rows[row]}`, rows: runs.map(({ key }) => key.slice(0, 8)), links: addresses.map((address) => `#run/${address}`),
    columns: [
      column("task", (one) => shown(one["spec.task"])),
      column("seed", (one) => shown(one["spec.seed"])),
      column("test %", (one) => percent(one["accuracy.test"]), true),
      column("val %", (one) => percent(one["accuracy.val"]), true),
      column("epoch", (one) => shown(one["accuracy.epoch"])),
      column("params", (one) => amount(one["params.method"])),
      column("head", (one) => amount(one["params.head"])),
      column("seconds", (one) => amount(one["cost.train_seconds"])),
      column("device", (one) => shown(one["environment.device"])),
    ].filter(({ cells }) => cells.some((text) => !missing(text))),
  });
  table.filter(() => true);
  return [back(), make("h2", {}, section.rows[row]), make("p", { class: "facts" }, `${section.title}; ${runs.length.toLocaleString("en")} run${runs.length === 1 ? "" : "s"}`), table.element];
}

async function found(key) {
  const all = await keys();
  const number = all.includes(key) ? all.indexOf(key) : all.findIndex((other) => other.startsWith(key));
  if (number < 0 || key === "") return [back(), make("h2", {}, "No such run"), make("p", {}, `There is no run ${key} in this file.`)];
  const section = Data.sections.findIndex(({ spans }) => spans && spans[0] <= number && number < spans.at(-1));
  const row = Data.sections[section].spans.findLastIndex((start) => start <= number);
  return page(await run(number), section, row);
}

const METRIC = "METRIC"; // in a title, for what the numbers of the task are
const metric = (one) => one["accuracy.metric"] ?? "accuracy";

const TILES = [
  [`test ${METRIC}`, (one) => `${percent(one["accuracy.test"])} %`],
  [`val ${METRIC}`, (one) => (one["accuracy.val"] == null ? null : `${percent(one["accuracy.val"])} %`)],
  ["method parameters", (one) => amount(one["params.method"])],
  ["head parameters", (one) => amount(one["params.head"])],
  ["task file", (one) => amount(one["params.task_file_bytes"], "B")],
  ["training time", (one) => amount(one["cost.train_seconds"], "s")],
  ["peak memory", (one) => amount(one["cost.peak_memory_bytes"], "B")],
  ["latency, unmerged", (one) => amount(one["cost.latency_ms.unmerged"], "ms")],
];

const PARTS = [["Method", "spec.config."], ["Recipe", "spec.recipe."], ["Backbone", "spec.backbone."], ["Run", "spec."], ["Accuracy", "accuracy."], ["Parameters", "params."], ["Cost", "cost."], ["Environment", "environment."], ["Report", "report."], ["Tuning", "tuning."], ["", ""]];

function fields(one) {
  const left = new Map(Object.entries(one).filter(([name]) => !["key", "curves", "command", "found"].includes(name)));
  const parts = PARTS.map(([title, prefix]) => {
    const taken = [...left].filter(([name]) => name.startsWith(prefix));
    taken.forEach(([name]) => left.delete(name));
    return [title, taken.map(([name, value]) => [name.slice(prefix.length), value])];
  });
  return make("div", { class: "fields" }, ...parts.filter(([, taken]) => taken.length > 0).map(([title, taken]) =>
    make("section", {}, make("h3", {}, title || "Record"), make("dl", {}, ...taken.flatMap(([name, value]) => [make("dt", {}, name), make("dd", { class: shown(value).length > 36 && "long" }, shown(value))])))));
}

function page(one, section, row) {
  const spec = (name) => shown(one[`spec.${name}`]);
  const tiles = TILES.map(([name, read]) => [name.replace(METRIC, metric(one)), read(one)]).filter(([, text]) => text != null && text !== "-");
  return [
    back(`#runs/${section}/${row}`, `runs of ${Data.sections[section].rows[row]}`),
    make("h2", {}, `${spec("method")} on ${spec("task")}, seed ${spec("seed")}`),
    make("p", { class: "facts" }, `${spec("suite")}, ${spec("backbone.modality")}, ${spec("backbone.name")}; checkpoint rule ${shown(one["accuracy.checkpoint_rule"])}; key `, make("code", {}, one.key)),
    make("div", { class: "tiles" }, ...tiles.map(([name, text]) => make("div", {}, make("span", { class: "quiet" }, name), make("b", {}, text)))),
    ...curves(one),
    make("h3", {}, "Train it again"),
    make("pre", { class: "command", tabindex: "0" }, `${one.command} --force`),
    ...(one.found ? [report(one.found)] : []),
    fields(one),
  ];
}

const CURVES = [["Training loss", ["train_loss"], 1], ["Learning rate", ["lr"], 1], [`${METRIC} (%)`, ["val_accuracy", "test_accuracy"], 100]];
const MANY_EPOCHS = 60; // with more, a curve without gaps has no markers

// A chart with a title. ``drawn`` returns its traces and axes, again after a change of theme.
function panel(title, label, drawn, note = "") {
  const area = make("div", { class: "curve", role: "img", "aria-label": label });
  const draw = async () => {
    const Plotly = await plotly();
    if (!area.isConnected) { removeEventListener("theme", draw); return; }
    const { traces, xaxis, yaxis, legend = false, shapes = [] } = drawn();
    const layout = frame();
    Object.assign(layout, { margin: { l: 52, r: 10, t: 8, b: 40 }, showlegend: legend, legend: { orientation: "h", y: 1.1 }, shapes });
    Object.assign(layout.xaxis, xaxis);
    Object.assign(layout.yaxis, yaxis);
    await Plotly.react(area, traces, layout, { ...CONFIG, displayModeBar: false });
  };
  addEventListener("theme", draw);
  requestAnimationFrame(() => setTimeout(draw)); // show the numbers before the charts, which take longer
  return make("figure", {}, make("h3", {}, title), area, ...(note ? [make("figcaption", {}, make("p", { class: "quiet" }, note))] : []));
}

// Every value of a run's history at its epoch: values that were not measured are gaps, and nothing is smoothed.
function curves(one) {
  const [of, epoch] = [one.curves, one["accuracy.epoch"]];
  const panels = CURVES.map(([title, names, scale]) => [title.replace(METRIC, metric(one)), names.filter((name) => of[name]?.some((value) => value != null)), scale]).filter(([, names]) => names.length > 0);
  if (panels.length === 0) return [];
  const last = Math.max(...panels.map(([, [name]]) => of[name].length));
  const mark = epoch != null && epoch < last ? [{ type: "line", xref: "x", yref: "paper", x0: epoch, x1: epoch, y0: 0, y1: 1, line: { color: color("quiet"), dash: "dot", width: 1.4 } }] : [];
  const drawn = panels.map(([title, names, scale]) => panel(title, `${title} by epoch`, () => {
    const inks = { test_accuracy: color("dot") };
    const traces = names.map((name) => ({
      type: "scatter", mode: of[name].length > MANY_EPOCHS && !of[name].includes(null) ? "lines" : "lines+markers", connectgaps: names[0].endsWith("accuracy"), name: name.replace("_accuracy", ""), x: of[name].map((_, i) => i + 1), y: of[name].map((value) => (value == null ? null : value * scale)),
      line: { color: inks[name] ?? color("accent"), width: 2 }, marker: { size: 5 }, hovertemplate: "epoch %{x}: %{y:.4~g}<extra></extra>",
    }));
    return { traces, legend: names.length > 1, shapes: mark, xaxis: { title: { text: "epoch", standoff: 6 }, range: [Math.min(1, last) - last * 0.03, last * 1.03], tickformat: "d", nticks: Math.min(last, 8) }, yaxis: { rangemode: "tozero", tickformat: "~g", nticks: 6 } };
  }));
  const note = mark.length ? [make("p", { class: "quiet" }, `The dotted line is the epoch that the checkpoint rule selected, ${epoch}.`)] : [];
  return [make("div", { class: "curves" }, ...drawn), ...note];
}
