"use strict";
// before anything is painted, so that a chosen theme does not flash
const Theme = {
  dark: () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark",
  kept() {
    try { return localStorage.getItem("theme"); } catch { return null; } // a browser may refuse to keep anything
  },
  choose(name) {
    document.documentElement.dataset.theme = name;
    try { localStorage.setItem("theme", name); } catch { /* then it holds until the page is closed */ }
    dispatchEvent(new Event("theme"));
  },
};
if (Theme.kept()) document.documentElement.dataset.theme = Theme.kept();
