// What depends on places on the screen or on paper: headers that stay in view, and what is wider than a sheet.
const SHEET = 1040; // pixels between the margins of A4, landscape

// Header of a table that scrolls sideways: it cannot stick to the window, so it is moved. Other headers stick by style.
function stick() {
  const bar = document.getElementById("filters");
  const edge = getComputedStyle(bar).position === "sticky" && !document.getElementById("overview").hidden ? bar.offsetHeight : 0;
  document.documentElement.style.setProperty("--bar", `${edge}px`);
  for (const part of document.querySelectorAll("section.comparison:not([hidden]), #detail:not([hidden])")) {
    const { top, bottom } = part.getBoundingClientRect();
    if (bottom < 0 || top > innerHeight) continue; // to measure what is out of view would lay it out
    for (const box of part.querySelectorAll(".box:not(.fits)")) {
      const place = box.getBoundingClientRect();
      const room = place.height - 2 * box.querySelector("thead").offsetHeight;
      box.style.setProperty("--shift", `${Math.max(0, Math.min(edge - place.top, room))}px`);
    }
  }
}

for (const event of ["scroll", "resize"]) addEventListener(event, stick, { passive: true });

addEventListener("beforeprint", () => {
  for (const wide of document.querySelectorAll(".box table, .plot, .curves, .matrix")) wide.style.zoom = Math.min(1, SHEET / wide.scrollWidth);
});
addEventListener("afterprint", () => {
  for (const wide of document.querySelectorAll("[style*=zoom]")) wide.style.zoom = "";
});
