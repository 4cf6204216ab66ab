// Converts a digit's pixels to pen strokes by following the skeleton of its ink.

const AROUND = [[-1, 0], [-1, 1], [0, 1], [1, 1], [1, 0], [1, -1], [0, -1], [-1, -1]];

/** Thins ink to a width of one pixel (Zhang and Suen, 1984). `image` is rows of values from 0 to 255. */
function skeleton(image, ink = 100) {
  const [height, width] = [image.length, image[0].length];
  const on = image.map((row) => row.map((value) => value > ink));
  const at = (row, column) => row >= 0 && row < height && column >= 0 && column < width && on[row][column];
  for (let changed = true; changed; ) {
    changed = false;
    for (const second of [false, true]) {
      const gone = [];
      for (let row = 0; row < height; row++) {
        for (let column = 0; column < width; column++) {
          if (!on[row][column]) continue;
          const ring = AROUND.map(([y, x]) => at(row + y, column + x));
          const count = ring.filter(Boolean).length;
          const begins = ring.filter((here, i) => !here && ring[(i + 1) % 8]).length;
          const [n, , e, , s, , w] = ring;
          const open = second ? !(n && e && w) && !(n && s && w) : !(n && e && s) && !(e && s && w);
          if (count >= 2 && count <= 6 && begins === 1 && open) gone.push([row, column]);
        }
      }
      for (const [row, column] of gone) on[row][column] = false;
      changed ||= gone.length > 0;
    }
  }
  return on;
}

/** Smooths pixel stairs: averages each point except the ends with its neighbors. */
function smooth(points) {
  const mean = (values) => values.reduce((sum, value) => sum + value) / values.length;
  for (let round = 0; round < 2; round++) {
    points = points.map((point, i) => {
      if (i === 0 || i === points.length - 1) return point;
      const three = points.slice(i - 1, i + 2);
      return [mean(three.map(([x]) => x)), mean(three.map(([, y]) => y))];
    });
  }
  return points;
}

/** Returns strokes, each a list of [x, y], where the image's sides are from 0 to 1. */
export function strokesOf(image) {
  const on = skeleton(image);
  const [height, width] = [image.length, image[0].length];
  const place = ([row, column]) => [(column + 0.5) / width, (row + 0.5) / height];
  // Skip a diagonal that two straight steps also connect.
  const links = ([row, column]) =>
    AROUND.filter(([y, x]) => on[row + y]?.[column + x])
      .filter(([y, x]) => y === 0 || x === 0 || !(on[row][column + x] || on[row + y][column]))
      .map(([y, x]) => [row + y, column + x]);
  const points = on.flatMap((row, r) => row.flatMap((here, c) => (here ? [[r, c]] : [])));
  const seen = new Set();
  const key = (a, b) => [a, b].map(String).sort().join(":");
  const strokes = [];
  // End points first: a stroke begins where a pen would.
  points.sort((a, b) => links(a).length - links(b).length);
  for (const start of points) {
    if (links(start).length === 0) strokes.push([place(start)]);
    for (;;) {
      const stroke = [start];
      for (let here = start; ; ) {
        const next = links(here).find((there) => !seen.has(key(here, there)));
        if (!next) break;
        seen.add(key(here, next));
        stroke.push((here = next));
      }
      if (stroke.length === 1) break;
      strokes.push(smooth(stroke.map(place)));
    }
  }
  return strokes;
}
