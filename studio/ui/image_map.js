// A map of photos: what looks alike lies together. Photos are drawn where there is room, dots in their class's colour
// elsewhere; the one nearest to mouse, finger or arrow keys is shown larger, with its class.
// (Runs once as the component appears; Gradio hands over `element`, `props`, `trigger`, `watch`.)
const PHOTO = 34, DOT = 5, REACH = 26, EDGE = 24;  // pixels of the screen
let map = null, tiles = null, at = -1, spots = [];

const colour = (number) => map.colours[map.labels[number]] ?? "#9aa0a6";
const corner = (number) => [map.tile * (number % map.columns), map.tile * Math.floor(number / map.columns)];

function place() {  // where each point is on the screen, and which photos have room
  const canvas = part("canvas"), wide = canvas.clientWidth, high = canvas.clientHeight;
  spots = [];
  for (const [x, y] of map.points) {
    const [left, top] = [EDGE + x * (wide - 2 * EDGE), EDGE + y * (high - 2 * EDGE)];
    const overlaps = (spot) => spot.photo && Math.max(Math.abs(spot.left - left), Math.abs(spot.top - top)) < PHOTO + 8;
    spots.push({ left, top, photo: !spots.some(overlaps) });
  }
}

function paint() {
  const canvas = part("canvas");
  if (!canvas?.clientWidth || !tiles?.naturalWidth) return;
  const scale = devicePixelRatio;
  [canvas.width, canvas.height] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
  place();
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const order = spots.map((_, number) => number).sort((a, b) => spots[a].photo - spots[b].photo);
  for (const number of order) paintOne(pen, number, spots[number].photo ? PHOTO : 0);
  if (at >= 0) paintOne(pen, at, 1.5 * PHOTO);
}

function paintOne(pen, number, side) {
  const { left, top } = spots[number];
  pen.fillStyle = colour(number);
  if (!side) {
    pen.beginPath();
    pen.arc(left, top, DOT, 0, 7);
    pen.fill();
    pen.lineWidth = 1;
    pen.strokeStyle = "#fff";
    return pen.stroke();
  }
  pen.fillRect(left - side / 2 - 3, top - side / 2 - 3, side + 6, side + 6);
  pen.drawImage(tiles, ...corner(number), map.tile, map.tile, left - side / 2, top - side / 2, side, side);
}

function nearest(event) {
  const frame = part("canvas").getBoundingClientRect(), [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
  let best = -1, least = REACH;
  spots.forEach(({ left, top }, number) => {
    const away = Math.hypot(left - x, top - y);
    if (away < least) [best, least] = [number, away];
  });
  return best;
}

function show(number) {
  if (number === at || number < 0) return;
  at = number;
  paint();
  part("said").textContent = [map.names[at], map.classes[map.labels[at]]].filter(Boolean).join(" · ");
}

function pick(number) {
  if (number < 0) return;
  show(number);
  window.studioPickedImage = map.places[number];
  trigger("picked");
}

function key(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (step) { event.preventDefault(); show((at + step + spots.length) % spots.length); }
  if (event.key === "Enter") pick(at);
}

function draw() {
  map = props.value?.points ? props.value : null;
  at = -1;
  if (!map) return element.replaceChildren();
  const legend = map.classes.map((name, number) => make("li", {}, make("i", { style: `background:${map.colours[number]}` }), name));
  element.replaceChildren(make("figure", { class: "image-map" },
    make("canvas", { "data-part": "canvas", role: "img", tabindex: 0, "aria-label": map.about, onkeydown: key,
      onpointermove: (event) => show(nearest(event)), onclick: (event) => pick(nearest(event)) }),
    make("figcaption", { "data-part": "said", "aria-live": "polite" }, map.about),
    make("ul", {}, ...legend.slice(0, 24))));
  tiles = make("img", { onload: paint });
  tiles.src = map.tiles;
}

new ResizeObserver(() => map && paint()).observe(element);
watch("value", draw);
draw();
