// The report on the page of a run: classes, confusions, calibration, and the errors that it is most sure of.
const NUMBERED = 15; // with more classes, the cells of the matrix have no numbers

function plainTable(caption, head, columns, rows) {
  const table = sortable({ caption, head, rows: rows.map(([name]) => name), links: null, file: caption, columns: columns.map((name, i) => ({ name, cells: rows.map((row) => row[i + 1]), best: [], rising: false })) });
  table.filter(() => true);
  return make("section", {}, make("h3", {}, caption), table.element);
}

// The confusion matrix as a heat map: a row per true class, a stronger color for a larger share of its samples.
function matrix({ labels, confusion, samples }) {
  const few = labels.length <= NUMBERED;
  const head = make("tr", {}, make("th", { scope: "col" }, "true \\ predicted"), ...labels.map((label) => make("th", { scope: "col", class: "side" }, make("span", {}, label))));
  const rows = confusion.map((counts, truth) => make("tr", {}, make("th", { scope: "row" }, labels[truth]), ...counts.map((count, predicted) => {
    const share = samples[truth] ? count / samples[truth] : 0;
    const td = make("td", { title: `${labels[truth]} taken for ${labels[predicted]}: ${count} of ${samples[truth]}`, class: share > 0.5 && "dark" }, few && count ? String(count) : "");
    td.style.setProperty("--share", `${Math.round(100 * share)}%`);
    return td;
  })));
  return make("section", { class: "wide" }, make("h3", {}, "Confusion matrix"), make("div", { class: "matrix", tabindex: "0", role: "region", "aria-label": "Confusion matrix" }, make("table", {}, make("caption", { class: "hidden" }, "Samples by true class (rows) and predicted class (columns)"), make("thead", {}, head), make("tbody", {}, ...rows))),
    make("p", { class: "quiet" }, "A row is a true class, a column a predicted one. The stronger the color of a cell, the larger its share of the row's samples."));
}

function reliability({ bins, ece }) {
  const most = Math.max(...bins.map(([, , samples]) => samples));
  return panel(`Calibration: expected error ${percent(ece)} %`, "Accuracy by confidence", () => ({
    traces: [
      { type: "bar", x: bins.map(([low, high]) => 50 * (low + high)), y: bins.map((bin) => 100 * bin[4]), width: bins.map(([low, high]) => 100 * (high - low) * 0.92), marker: { color: color("accent"), opacity: bins.map(([, , samples]) => 0.25 + (0.75 * samples) / most) }, hovertext: bins.map(([low, high, samples, confidence, accuracy]) => `confidence ${percent(confidence)} %, accuracy ${percent(accuracy)} %, ${samples} samples`), hoverinfo: "text" },
      { type: "scatter", mode: "lines", x: [0, 100], y: [0, 100], hoverinfo: "skip", line: { color: color("quiet"), dash: "dash", width: 1.4 } },
    ],
    xaxis: { title: { text: "confidence (%)", standoff: 6 }, range: [0, 100] }, yaxis: { title: { text: "accuracy (%)", standoff: 6 }, range: [0, 100] },
  }), "A bar of a stronger color has more samples. On the dashed line, confidence equals accuracy.");
}

function report(of) {
  const place = (text) => (missing(text) ? 101 : number(text));
  const classes = of.labels.map((label, i) => [label, String(of.samples[i]), percent(of.accuracies[i])]).sort((a, b) => place(a[2]) - place(b[2]));
  const parts = [
    plainTable("Classes, the least accurate first", "class", ["samples", "accuracy %"], classes),
    reliability(of),
    ...(of.confusion ? [matrix(of)] : []),
    ...(of.mistaken.length ? [plainTable("The most frequent confusions", "true class", ["predicted class", "samples"], of.mistaken.map(([a, b, count]) => [of.labels[a], of.labels[b], String(count)]))] : []),
    ...(of.errors.length ? [plainTable(`The ${of.errors.length} of ${of.wrong} errors with the highest confidence`, "test sample", ["true class", "predicted class", "confidence %"], of.errors.map(([sample, truth, guess, share]) => [sample, truth, guess, percent(share)]))] : []),
  ];
  return make("div", { class: "report" }, ...parts);
}
