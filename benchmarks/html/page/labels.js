// Places the names of points where they cover neither points, lines nor other names.
const DISTANCES = [8, 14, 20, 30, 42, 56, 72, 90, 110, 135, 165, 200, 240, 290]; // pixels between a point and its name
const ANGLES = [0, 8, 4, 12, 2, 6, 10, 14, 1, 7, 3, 5, 9, 11, 13, 15].map((step) => (step * Math.PI) / 8);
const ALONG = [8, 4, 6, 0, 12, 2, 10, 14, 7, 5, 3, 1, 9, 11, 13, 15].map((step) => (step * Math.PI) / 8); // on the frontier, which rises to the right
const JOINED = 20; // from this distance on, a line joins a point and its name
const FAR_OFF = 42; // the largest distance of a name that may be missing
const UPRIGHT = 0.1; // below this cosine, a line would look like an interval
const SIZE = 11.5, LINE = 14; // pixels
const pen = document.createElement("canvas").getContext("2d");

function widthOf(text) {
  pen.font = `${SIZE}px ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(text).width;
}

const touches = (box, other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3];

// The line from a point to the middle of its name, cut into small boxes, without those in the name.
function leader(point, middle, box) {
  const [across, down] = [middle.x - point.x, middle.y - point.y];
  const count = Math.floor(Math.hypot(across, down) / 4) + 1;
  const spots = Array.from({ length: count }, (_, i) => [point.x + (across * (i + 1)) / count, point.y + (down * (i + 1)) / count]);
  return spots.map(([x, y]) => [x - 1, y - 1, x + 1, y + 1]).filter((part) => !touches(part, box));
}

// points: {x, y in pixels, name, first: on the frontier, needed: whether the name must be shown}; lines: boxes to keep free.
// Returns the middle of each name as {x, y, joined} in pixels from its point, or null for a name that has no room.
function placed(points, marks, lines, width, height) {
  const taken = [...lines, ...marks.map(({ x, y }) => [x - 5, y - 5, x + 5, y + 5])];
  const written = [];
  const free = (box) => box[0] >= 0 && box[1] >= 0 && box[2] <= width && box[3] <= height && ![...taken, ...written].some((other) => touches(box, other));
  const beside = ({ name, needed }) => (needed ? { x: DISTANCES[0] + widthOf(name) / 2, y: 0, joined: false } : null);
  function found(point) {
    const wide = widthOf(point.name);
    for (const far of DISTANCES.filter((distance) => point.needed || distance <= FAR_OFF)) {
      for (const angle of point.first ? ALONG : ANGLES) {
        const joined = far >= JOINED;
        if (joined && Math.abs(Math.cos(angle)) < UPRIGHT) continue;
        const middle = { x: point.x + Math.cos(angle) * (far + wide / 2), y: point.y - Math.sin(angle) * (far + LINE / 2) };
        const box = [middle.x - wide / 2, middle.y - LINE / 2, middle.x + wide / 2, middle.y + LINE / 2];
        if (!free(box)) continue;
        const parts = joined ? leader(point, middle, box) : [];
        if (parts.some((part) => written.some((other) => touches(part, other)))) continue;
        written.push(box);
        taken.push(...parts);
        return { x: middle.x - point.x, y: middle.y - point.y, joined };
      }
    }
    return beside(point);
  }
  return points.map(found);
}
