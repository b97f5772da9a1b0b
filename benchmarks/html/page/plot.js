// The plot of accuracy against a cost, with its Pareto frontier.
const FAR = 3.5; // the axis ends this many times as far below the median as the best point is above it
const LEAST = 2; // percentage points that the axis of accuracies shows at least
const MANY = 40; // with more points, only those of the frontier and the highlighted ones have bars and names; the others show them on hover
const MARGIN = { l: 58, r: 16, t: 12, b: 48 };

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// plotly interprets some tags in its texts
const plain = (text) => visible(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function frame() {
  const axis = { gridcolor: color("line"), linecolor: color("line"), zeroline: false, tickfont: { color: color("quiet") }, automargin: false };
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { ...MARGIN }, showlegend: false, hovermode: "closest", dragmode: touched ? false : "zoom",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: color("ink") },
    hoverlabel: { bgcolor: color("raised"), bordercolor: color("line"), align: "left", font: { color: color("ink"), size: 13 } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: color("quiet"), activecolor: color("accent") },
    xaxis: { ...axis }, yaxis: { ...axis },
  };
}

const touched = matchMedia("(pointer: coarse)").matches; // on a touch screen, a finger on a plot must scroll the page
const CONFIG = {
  responsive: true, displaylogo: false, showSendToCloud: false, ...(touched ? { displayModeBar: false } : {}),
  modeBarButtonsToRemove: ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
};

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
}

// The points that no other point beats: in ascending order of cost, those that are better than all before.
function frontier(points) {
  let best = -Infinity;
  return points.filter(({ paper }) => !paper).sort((a, b) => a.x - b.x || b.y - a.y).filter(({ y }) => y > best && ((best = y), true));
}

function axes(points, log) {
  const positive = points.map(({ x }) => x).filter((x) => x > 0);
  const scaled = log && positive.length > 0;
  const decade = scaled ? Math.floor(Math.log10(Math.min(...positive))) : 0;
  const zero = scaled && positive.length < points.length ? 10 ** (decade - 0.5) : null; // a place for zero, which has no logarithm
  const place = (x) => (scaled ? Math.log10(x > 0 ? x : zero) : x);
  const spots = points.map(({ x }) => place(x));
  const [low, high] = [Math.min(...spots), Math.max(...spots)];
  const room = (high - low || 1) * 0.06;
  return { scaled, zero, place, x: [low - room, high + room * 2], y: span(points) };
}

// The ends of the axis of accuracies, as in the Pareto plot. Points far below most others would squeeze them, so the
// axis may end above these; they lie on its line.
function span(points) {
  const ys = points.map(({ y }) => y);
  const [best, middle] = [Math.max(...ys), median(ys)];
  const reach = Math.max(FAR * (best - middle), LEAST);
  const shown = points.filter(({ y }) => y >= middle - reach);
  const low = Math.max(Math.min(...shown.map(({ y, error }) => Math.max(y - (error ?? 0), 0))), middle - reach);
  const high = Math.min(Math.max(...shown.map(({ y, error }) => Math.min(y + (error ?? 0), 100))), best + reach);
  const room = Math.max(LEAST - (high - low), 0) / 2 + 0.08 * (high - low);
  return [low - room, high + room];
}

// The steps of the frontier and the bars as thin boxes, which names must not cover.
function lines(points, edge, floor, pixel, right) {
  const turns = edge.map(pixel);
  const steps = turns.flatMap((a, i) => {
    const b = turns[i + 1] ?? { x: right, y: a.y };
    return [[a.x + 5, a.y - 1, b.x, a.y + 1], [b.x - 1, b.y + 5, b.x + 1, a.y]];
  });
  const bars = points.filter(({ y, error }) => error > 0 && y >= floor).map((point) => {
    const [low, high] = [pixel({ ...point, y: point.y - point.error }), pixel({ ...point, y: point.y + point.error })];
    return [low.x - 3, high.y, low.x + 3, low.y];
  });
  return [...steps, ...bars];
}

// The color of a point or of its name: highlighted, on the frontier, or another.
const ink = (point, edge, other) => (point.paper ? "quiet" : point.highlighted ? "chosen" : edge.has(point) ? "accent" : other);

function drawing(points, { cost, accuracy, log, width, height }) {
  const view = axes(points, log);
  const edge = new Set(frontier(points));
  const shown = (x) => (view.scaled && !(x > 0) ? view.zero : x);
  const line = (edge.size ? [...edge, [...edge].at(-1)] : []).map(({ x, y }) => ({ x: shown(x), y }));
  if (edge.size) line.at(-1).x = view.scaled ? 10 ** view.x[1] : view.x[1];
  const steps = { type: "scatter", mode: "lines", hoverinfo: "skip", x: line.map(({ x }) => x), y: line.map(({ y }) => y), line: { shape: "hv", dash: "dash", width: 1.4, color: color("accent") } };
  const named = points.filter((point) => points.length <= MANY || edge.has(point) || point.highlighted);
  const groups = [points.filter((point) => !named.includes(point)),
    ...["quiet", "dot", "accent", "chosen"].map((name) => named.filter((point) => ink(point, edge, "dot") === name))]; // the last is on top
  const layout = frame();
  Object.assign(layout, { width, height, annotations: names(named, points, { view, edge, width, height }), shapes: [] });
  Object.assign(layout.xaxis, { title: { text: plain(cost.name + (cost.unit ? ` (${cost.unit})` : "")), standoff: 10 }, type: view.scaled ? "log" : "linear", range: view.x, nticks: Math.max(3, Math.floor(width / 110)), ...ticks(cost.unit, view) });
  Object.assign(layout.yaxis, { title: { text: plain(`${accuracy.name} (%)`), standoff: 8 }, range: view.y });
  if (view.zero) {
    layout.annotations.push({ x: Math.log10(view.zero), xref: "x", y: 0, yref: "paper", yanchor: "top", yshift: -2, text: "0", showarrow: false, font: { color: color("quiet") } });
    layout.shapes.push({ type: "line", xref: "x", yref: "paper", x0: view.zero * 2, x1: view.zero * 2, y0: 0, y1: 1, line: { color: color("line"), width: 5 }, layer: "below" });
  }
  const traces = groups.map((some, i) => marks(some, { view, edge, shown, cost, accuracy, small: i === 0 }));
  return { traces: [steps, ...traces], layout };
}

// Points of one color. A point below the axis is a triangle on its line, without a bar.
function marks(points, { view, edge, shown, cost, accuracy, small }) {
  const below = ({ y }) => y < view.y[0];
  const bar = (point) => (small || below(point) ? null : point.error);
  const upper = (point) => (bar(point) == null ? null : Math.min(bar(point), Math.max(100 - point.y, 0))); // no accuracy is above 100 %
  const told = points.map((point) => ({ row: point.row, facts: facts(point, cost, accuracy) }));
  const paint = points.length > 0 ? color(ink(points[0], edge, "dot")) : null;
  return {
    type: "scatter", mode: "markers", cliponaxis: false, hoverinfo: "text",
    x: points.map(({ x }) => shown(x)), y: points.map(({ y }) => Math.max(y, view.y[0])),
    customdata: told, hovertext: told.map(({ facts: [name, ...others] }) => [`<b>${plain(name)}</b>`, ...others.map((fact) => plain(fact).replace(/(.{60}\S*) /g, "$1<br>"))].join("<br>")),
    error_y: { type: "data", visible: !small && !points[0]?.paper, symmetric: false, array: points.map(upper), arrayminus: points.map(bar), thickness: 1.2, width: 3, color: paint },
    marker: { size: small ? 6 : 9, opacity: small ? 0.6 : 1, color: paint, symbol: points.map((point) => (below(point) ? "triangle-down" : "circle") + (point.paper ? "-open" : "")), line: { width: small ? 0 : 1.2, color: points[0]?.paper ? paint : color("raised") } },
  };
}

// The names of points as annotations of plotly; those of the frontier and highlighted ones are never left out.
function names(named, points, { view, edge, width, height }) {
  const [inner, tall] = [width - MARGIN.l - MARGIN.r, height - MARGIN.t - MARGIN.b];
  const across = (x) => ((view.place(x) - view.x[0]) / (view.x[1] - view.x[0])) * inner;
  const down = (y) => ((view.y[1] - y) / (view.y[1] - view.y[0])) * tall;
  const pixel = ({ x, y }) => ({ x: across(x), y: down(Math.max(y, view.y[0])) });
  const needed = (point) => edge.has(point) || point.highlighted;
  const sorted = [...edge, ...named.filter((point) => !edge.has(point)).sort((a, b) => needed(b) - needed(a) || b.y - a.y)];
  const label = (point) => (point.y < view.y[0] ? `${point.name} ${point.y.toFixed(1)}` : point.name);
  const spots = sorted.map((point) => ({ ...pixel(point), name: label(point), first: edge.has(point), needed: needed(point) }));
  const places = placed(spots, points.map(pixel), lines(named, [...edge], view.y[0], pixel, inner), inner, tall);
  return sorted.flatMap((point, i) => {
    if (!places[i]) return [];
    const { x, y, joined } = places[i];
    const at = { x: view.place(point.x), y: Math.max(point.y, view.y[0]), xanchor: "center", yanchor: "middle", borderpad: 0 };
    const where = joined ? { showarrow: true, arrowhead: 0, arrowwidth: 1, arrowcolor: color("dot"), standoff: 5, ax: x, ay: y } : { showarrow: false, xshift: x, yshift: -y };
    return [{ ...at, ...where, text: plain(label(point)), font: { size: SIZE, color: color(ink(point, edge, "quiet")) } }];
  });
}

function ticks(unit, view) {
  const [low, high] = view.x;
  const some = view.scaled ? within(10 ** low, 10 ** high, high - low > 1.4 ? [1] : [1, 2, 5]) : [];
  // plotly's own ticks would have two sizes on a logarithmic axis with more than powers of ten
  if (some.length > 1) return { tickvals: some, ticktext: some.map((value) => `${short(value)}${unit === "B" ? "B" : ""}`) };
  return { tickformat: unit === "" || unit === "B" ? "~s" : "~g", ticksuffix: unit === "B" ? "B" : "" };
}

// The numbers from low to high whose first digit is one of ``firsts``: 20, 50, 100, 200
function within(low, high, firsts) {
  const decades = Array.from({ length: Math.ceil(Math.log10(high / low)) + 2 }, (_, i) => Math.floor(Math.log10(low)) + i);
  return decades.flatMap((decade) => firsts.map((digit) => Number(`${digit}e${decade}`))).filter((value) => low <= value && value <= high);
}

// What is told of a point: its name, then its numbers.
function facts({ name, x, y, error, seeds, paper }, cost, accuracy) {
  const spread = error == null ? "" : ` ± ${error.toFixed(1)}`;
  return [name, `${accuracy.name}: ${y.toFixed(1)}${spread} %`, `${cost.name}: ${amount(x, cost.unit)}`, paper ?? `${seeds} seed${seeds === 1 ? "" : "s"}`];
}

// The plot of one section, drawn when it comes into view.
function pareto(section, number, onset) {
  const state = { cost: 0, accuracy: 0, log: true, papers: false, keep: () => true, near: false, pending: false };
  const area = make("div", { class: "plot", role: "img", "aria-label": `Accuracy against cost: ${section.title}; the table above has the numbers` }, make("p", { class: "quiet" }, "Drawing the plot."));
  const tapped = make("p", { "aria-live": "polite" });
  const set = (name) => (value) => { state[name] = value; tell(); draw(); };
  const tick = (name) => make("input", { type: "checkbox", onchange: ({ target }) => set(name)(target.checked) });
  const [scale, published] = [tick("log"), tick("papers")];
  const across = chooser("Horizontal axis", section.costs.map(({ name }) => name), 0, set("cost"));
  const up = chooser("Vertical axis", section.accuracy.map(({ name }) => name), 0, set("accuracy"));
  const tools = make("div", { class: "tools" },
    across, make("label", { class: "check" }, scale, " logarithmic"), up,
    ...(section.papers ? [make("label", { class: "check" }, published, " published numbers")] : []));

  function tell() {
    onset("x", state.cost ? section.costs[state.cost].name : "");
    onset("y", state.accuracy ? section.accuracy[state.accuracy].name : "");
    onset("linear", !state.log);
    onset("published", state.papers);
    controls();
  }

  function controls() {
    [across.lastChild.value, up.lastChild.value, scale.checked, published.checked] = [state.cost, state.accuracy, state.log, state.papers];
    published.disabled = section.papers?.cost !== section.costs[state.cost].name; // papers state only this cost
  }

  // Takes the axes that a function returns by the names of ``onset``.
  function restore(read) {
    const place = (list, name) => Math.max(0, list.findIndex((one) => one.name === name));
    Object.assign(state, { cost: place(section.costs, read("x")), accuracy: place(section.accuracy, read("y")), log: !read("linear"), papers: Boolean(read("published")) });
    controls();
  }

  // The rows of papers as points without a bar or a link.
  function printed(cost) {
    if (!state.papers || section.papers?.cost !== cost.name) return [];
    return section.papers.points.map((point) => ({ name: point.name, row: null, highlighted: false, x: point.x, y: point.values[state.accuracy], error: null, paper: point.from }));
  }

  // A click opens the row of a point. A finger cannot hover, so its tap tells of the point below the plot, with a link.
  function clicked({ points: [{ customdata: { row, facts } }] }) {
    const href = row === null ? null : `#runs/${number}/${row}`;
    if (matchMedia("(hover: none)").matches) tapped.replaceChildren(href ? make("a", { href }, facts[0]) : facts[0], make("span", {}, `: ${facts.slice(1).join("; ")}`));
    else if (href) location.hash = href;
  }

  async function draw() {
    if (!state.near || state.pending) return;
    state.pending = true;
    const Plotly = await plotly();
    state.pending = false;
    if (area.clientWidth === 0) return; // hidden: it is drawn when it becomes visible, which changes its size
    const [cost, accuracy] = [section.costs[state.cost], section.accuracy[state.accuracy]];
    const points = section.rows.map((name, row) => ({ name, row, highlighted: section.highlighted.includes(row), x: cost.values[row], y: accuracy.values[row], error: accuracy.errors[row], seeds: accuracy.seeds[row] }))
      .filter(({ row }) => state.keep(row)).concat(printed(cost)).filter(({ x, y }) => x != null && y != null);
    if (points.length === 0) { Plotly.purge(area); area.replaceChildren(make("p", { class: "quiet" }, "No row has both numbers.")); return; }
    if (!area.data) area.replaceChildren();
    const { traces, layout } = drawing(points, { cost, accuracy, log: state.log, width: area.clientWidth, height: area.clientHeight });
    const drawn = area.data;
    await Plotly.react(area, traces, layout, CONFIG);
    if (!drawn) area.on("plotly_click", clicked);
  }

  new IntersectionObserver((seen, observer) => {
    if (seen.some((entry) => entry.isIntersecting)) { state.near = true; observer.disconnect(); draw(); }
  }, { rootMargin: "300px" }).observe(area);
  new ResizeObserver(draw).observe(area);
  addEventListener("theme", draw);
  const note = make("p", { class: "quiet" }, "The dashed line is the Pareto frontier: no other row is better at the same or a lower cost. Bars are 95 % intervals: Student's t over seeds, or the binomial interval of the test split for a single seed. Points of the frontier are blue, those of the highlighted method orange. With more than 40 points, only these have bars and names; the others show them on hover. A triangle on the line of the axis marks an accuracy below it, with its number. A cost is the median over the runs of a row, a number of parameters the mean. Click a point to see the runs of its row; a tap tells of it below the plot." + (section.papers ? " Hollow points are numbers that papers print for the same backbone. Their rules, seeds and tuning differ, and they are not on the frontier." : ""));
  controls();
  return { element: make("figure", {}, tools, area, make("figcaption", {}, tapped, note)), restore, filter: (keep) => { state.keep = keep; draw(); } };
}
