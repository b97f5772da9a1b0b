// Places the names of points where they cover neither points nor other names. A name without room shows on hover only.
const SIDES = [["middle right", 1, 0], ["middle left", -1, 0], ["top center", 0, -1], ["bottom center", 0, 1],
  ["top right", 1, -1], ["top left", -1, -1], ["bottom right", 1, 1], ["bottom left", -1, 1]];
const LETTER = 6.4, LINE = 14, GAP = 8; // pixels

const ALONG = [5, 4, 1, 0, 2, 6, 3, 7]; // the order of sides for points on the frontier, which rises to the right

// points: {x, y in pixels, name, first: whether on the frontier}; lines: boxes to keep free. Returns a side or null per point.
function placed(points, lines, width, height) {
  const taken = [...lines, ...points.map(({ x, y }) => [x - 5, y - 5, x + 5, y + 5])];
  const free = (box) => box[0] >= 0 && box[1] >= 0 && box[2] <= width && box[3] <= height
    && !taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3]);
  return points.map(({ x, y, name, first }) => {
    const wide = name.length * LETTER;
    for (const [side, right, down] of first ? ALONG.map((i) => SIDES[i]) : SIDES) {
      const left = x + (right > 0 ? GAP : right < 0 ? -GAP - wide : -wide / 2);
      const top = y + (down > 0 ? GAP : down < 0 ? -GAP - LINE : -LINE / 2);
      const box = [left, top, left + wide, top + LINE];
      if (free(box)) {
        taken.push(box);
        return side;
      }
    }
    return null;
  });
}
