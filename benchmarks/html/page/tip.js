// One tooltip for everything that has one. It shows on hover and on focus, and Escape hides it.
const tip = make("div", { id: "tip", role: "tooltip", hidden: true });
document.body.append(tip);

function hide() {
  tip.hidden = true;
  document.querySelector("[aria-describedby=tip]")?.removeAttribute("aria-describedby");
}

function explained(element, text) {
  if (!text) return element;
  const show = () => {
    hide();
    tip.textContent = text;
    tip.hidden = false;
    element.setAttribute("aria-describedby", "tip");
    const [place, own] = [element.getBoundingClientRect(), tip.getBoundingClientRect()];
    const below = place.bottom + 4 + own.height <= innerHeight;
    tip.style.top = `${below ? place.bottom + 4 : place.top - own.height - 4}px`;
    tip.style.left = `${Math.max(8, Math.min(place.left, document.documentElement.clientWidth - own.width - 8))}px`;
  };
  for (const event of ["mouseenter", "focus"]) element.addEventListener(event, show);
  for (const event of ["mouseleave", "blur"]) element.addEventListener(event, hide);
  return element;
}

addEventListener("keydown", ({ key }) => { if (key === "Escape") hide(); });
addEventListener("scroll", hide, { passive: true });
