// The plot of accuracy against a cost, with its Pareto frontier.
const FAR = 3.5; // the axis ends this many times as far below the median as the best point is above it
const LEAST = 2; // percentage points that the axis of accuracies shows at least
const MANY = 40; // with more points, only those of the frontier have bars and names; the others show them on hover
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
  return [...points].sort((a, b) => a.x - b.x || b.y - a.y).filter(({ y }) => y > best && ((best = y), true));
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

function drawing(points, { cost, accuracy, log, width, height }) {
  const view = axes(points, log);
  const edge = frontier(points);
  const first = new Set(edge);
  const pixel = (point) => ({
    x: ((view.place(point.x) - view.x[0]) / (view.x[1] - view.x[0])) * (width - MARGIN.l - MARGIN.r),
    y: ((view.y[1] - point.y) / (view.y[1] - view.y[0])) * (height - MARGIN.t - MARGIN.b),
  });
  const raised = (point) => ({ ...point, y: Math.max(point.y, view.y[0]) });
  const named = [...edge, ...points.filter((point) => !first.has(point)).sort((a, b) => b.y - a.y)];
  const label = (point) => (point.y < view.y[0] ? `${point.name} ${point.y.toFixed(1)}` : point.name);
  const [inner, tall] = [width - MARGIN.l - MARGIN.r, height - MARGIN.t - MARGIN.b];
  const marked = points.length > MANY ? edge : named; // the first elements of ``named``
  const spots = marked.map((point) => ({ ...pixel(raised(point)), name: label(point), first: first.has(point) }));
  const sides = placed(spots, lines(marked, edge.map(raised), view.y[0], pixel, inner), inner, tall);
  const bar = (point) => (point.y < view.y[0] || !(marked === named || first.has(point)) ? null : point.error);
  const upper = (point) => (bar(point) == null ? null : Math.min(bar(point), Math.max(100 - point.y, 0))); // no accuracy is above 100 %
  const shown = (x) => (view.scaled && !(x > 0) ? view.zero : x);
  const trace = (of, ink) => {
    const small = !of && marked === edge;
    const chosen = named.map((point, i) => [point, sides[i]]).filter(([point]) => first.has(point) === of);
    return {
      type: "scatter", mode: "markers+text", cliponaxis: false, hoverinfo: "text",
      x: chosen.map(([{ x }]) => shown(x)), y: chosen.map(([{ y }]) => Math.max(y, view.y[0])),
      text: chosen.map(([point, side]) => (side ? plain(label(point)) : "")), textposition: chosen.map(([, side]) => side ?? "top center"),
      textfont: { size: 11.5, color: of ? color("ink") : color("quiet") },
      customdata: chosen.map(([{ row }]) => row),
      hovertext: chosen.map(([point]) => hover(point, cost, accuracy)),
      error_y: { type: "data", visible: !small, symmetric: false, arrayminus: chosen.map(([point]) => bar(point)), array: chosen.map(([point]) => upper(point)), thickness: 1.2, width: 3, color: ink },
      marker: { size: small ? 6 : 9, opacity: small ? 0.6 : 1, color: ink, symbol: chosen.map(([{ y }]) => (y < view.y[0] ? "triangle-down" : "circle")), line: { width: small ? 0 : 1.2, color: color("raised") } },
    };
  };
  const steps = { x: [...edge.map(({ x }) => shown(x)), view.scaled ? 10 ** view.x[1] : view.x[1]], y: [...edge, edge.at(-1)].map(({ y }) => y) };
  const line = { type: "scatter", mode: "lines", hoverinfo: "skip", ...steps, line: { shape: "hv", dash: "dash", width: 1.4, color: color("accent") } };
  const layout = frame();
  Object.assign(layout, { width, height });
  Object.assign(layout.xaxis, { title: { text: plain(cost.name + (cost.unit ? ` (${cost.unit})` : "")), standoff: 10 }, type: view.scaled ? "log" : "linear", range: view.x, nticks: Math.max(3, Math.floor(width / 110)), ...ticks(cost.unit, view) });
  Object.assign(layout.yaxis, { title: { text: plain(`${accuracy.name} (%)`), standoff: 8 }, range: view.y });
  if (view.zero) {
    layout.annotations = [{ x: Math.log10(view.zero), xref: "x", y: 0, yref: "paper", yanchor: "top", yshift: -2, text: "0", showarrow: false, font: { color: color("quiet") } }];
    layout.shapes = [{ type: "line", xref: "x", yref: "paper", x0: view.zero * 2, x1: view.zero * 2, y0: 0, y1: 1, line: { color: color("line"), width: 5 }, layer: "below" }];
  }
  return { traces: [line, trace(false, color("dot")), trace(true, color("accent"))], layout, frontier: edge };
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

function hover({ name, x, y, error, seeds }, cost, accuracy) {
  const spread = error == null ? "" : ` ± ${error.toFixed(1)}`;
  return [`<b>${plain(name)}</b>`, plain(`${accuracy.name}: ${y.toFixed(1)}${spread} %`), plain(`${cost.name}: ${amount(x, cost.unit)}`), `${seeds} seed${seeds === 1 ? "" : "s"}`].join("<br>");
}

// The plot of one section, drawn when it comes into view.
function pareto(section, number) {
  const state = { cost: 0, accuracy: 0, log: true, keep: () => true, near: false, pending: false };
  const area = make("div", { class: "plot", role: "img", "aria-label": `Accuracy against cost: ${section.title}; the table above has the numbers` }, make("p", { class: "quiet" }, "Drawing the plot."));
  const set = (name) => (value) => { state[name] = value; draw(); };
  const scale = make("input", { type: "checkbox", checked: true, onchange: () => set("log")(scale.checked) });
  const tools = make("div", { class: "tools" },
    chooser("Horizontal axis", section.costs.map(({ name }) => name), 0, set("cost")),
    make("label", { class: "check" }, scale, " logarithmic"),
    chooser("Vertical axis", section.accuracy.map(({ name }) => name), 0, set("accuracy")));

  async function draw() {
    if (!state.near || state.pending) return;
    state.pending = true;
    const Plotly = await plotly();
    state.pending = false;
    if (area.clientWidth === 0) return; // hidden: it is drawn when it becomes visible, which changes its size
    const [cost, accuracy] = [section.costs[state.cost], section.accuracy[state.accuracy]];
    const points = section.rows.map((name, row) => ({ name, row, x: cost.values[row], y: accuracy.values[row], error: accuracy.errors[row], seeds: accuracy.seeds[row] }))
      .filter(({ x, y, row }) => x != null && y != null && state.keep(row));
    if (points.length === 0) { Plotly.purge(area); area.replaceChildren(make("p", { class: "quiet" }, "No row has both numbers.")); return; }
    if (!area.data) area.replaceChildren();
    const { traces, layout } = drawing(points, { cost, accuracy, log: state.log, width: area.clientWidth, height: area.clientHeight });
    const drawn = area.data;
    await Plotly.react(area, traces, layout, CONFIG);
    if (!drawn) area.on("plotly_click", ({ points: [{ customdata }] }) => { location.hash = `#runs/${number}/${customdata}`; });
  }

  new IntersectionObserver((seen, observer) => {
    if (seen.some((entry) => entry.isIntersecting)) { state.near = true; observer.disconnect(); draw(); }
  }, { rootMargin: "300px" }).observe(area);
  new ResizeObserver(draw).observe(area);
  addEventListener("theme", draw);
  const note = make("p", { class: "quiet" }, "The dashed line is the Pareto frontier: no other row is better at the same or a lower cost. Bars are 95 % intervals: Student's t over seeds, or the binomial interval of the test split for a single seed. With more than 40 points, only those of the frontier have bars and names; the others show them on hover. A triangle on the line of the axis marks an accuracy below it, with its number. A cost is the median over the runs of a row, a number of parameters the mean. Click a point to see the runs of its row.");
  return { element: make("figure", {}, tools, area, make("figcaption", {}, note)), filter: (keep) => { state.keep = keep; draw(); } };
}
