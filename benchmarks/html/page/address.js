// The state of the overview in the address after "#": filters, the order of tables, the axes of plots. A page of a run
// has an address of its own, and its link back leads to the last state of the overview.
const Address = {
  last: "",
  overview: () => (/^#runs?\//.test(location.hash) ? null : new URLSearchParams(location.hash.slice(1))),
  // Sets a value, or removes it if it is empty or false. The reader's way back does not get longer.
  set(name, value) {
    const state = Address.overview();
    if (!state) return;
    if (value === "" || value == null || value === false) state.delete(name); else state.set(name, value === true ? "1" : value);
    Address.last = String(state);
    history.replaceState(null, "", `#${Address.last}`);
  },
};

// "offline: image, vit_nano" -> "offline-image-vit_nano", and a number behind it if that is taken
function slugs(titles) {
  const seen = new Map();
  return titles.map((title) => {
    const slug = title.replace(/[^\p{L}\p{N}_.]+/gu, "-").replace(/^-|-$/g, "") || "comparison";
    seen.set(slug, (seen.get(slug) ?? 0) + 1);
    return seen.get(slug) > 1 ? `${slug}-${seen.get(slug)}` : slug;
  });
}
