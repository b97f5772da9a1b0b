"use strict";
// runs before anything is painted, so that the page never flashes in the other theme
const Theme = {
  dark: () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark",
  kept() {
    try { return localStorage.getItem("theme"); } catch { return null; } // a browser may refuse storage
  },
  choose(name) {
    document.documentElement.dataset.theme = name;
    try { localStorage.setItem("theme", name); } catch { /* the choice then lasts until the page is closed */ }
    dispatchEvent(new Event("theme"));
  },
};
if (Theme.kept()) document.documentElement.dataset.theme = Theme.kept();
