// The labelling desk: one image, the classes as buttons and keys, boxes and masks drawn with mouse, pen or finger.
// What is drawn lives here until it is saved; what is saved is kept by the server, which sends the next image.
// (Runs once as the component appears; Gradio hands over `element`, `props`, `trigger`, `watch`.)
const HANDLE = { mouse: 14, pen: 14, touch: 26 };  // pixels around a corner that take hold of it
const TALL = "min(56vh, 34rem)";  // how tall an image is shown at most
let state = {}, things = [], past = [], base = [], strokes = [], active = 0, chosen = -1;
let tool = "brush", width = 24, drag = null, polygon = [], busy = false, out = "{}", saved = true, photo = null, overlay = null;

const colour = (name) => state.colours[Math.max(0, state.classes.indexOf(name)) % state.colours.length];

function send(act, more = {}) {
  if (busy || !state.project) return;
  busy = true;
  element.classList.add("busy");
  out = JSON.stringify({ act, project: state.project, image: state.image, ...more });
  saved = act !== "class";
  trigger("acted");
}

function save() {
  if (!state.image) return;
  const label = state.proposal?.label ?? state.truth?.label;
  if (state.kind === "classes") label != null && send("classes", { label });
  else if (state.kind === "boxes") send("boxes", { size: state.size, boxes: things });
  else { closePolygon(); send("masks", { base, strokes }); }
}

function choose(number) {
  if (number >= state.classes.length) return;
  active = number;
  if (state.kind === "classes") return state.image && send("classes", { label: state.classes[number] });
  if (chosen >= 0) { remember(); things[chosen][0] = state.classes[number]; }
  buttons();
  paint();
}

function remember() { past.push(JSON.stringify([things, strokes, chosen])); }

function undo() {
  if (polygon.length) polygon.splice(-2);
  else if (past.length) [things, strokes, chosen] = JSON.parse(past.pop());
  else return send("undo");
  paint();
}

function remove() {
  if (chosen < 0) return;
  remember();
  things.splice(chosen, 1);
  chosen = -1;
  paint();
}

function addClass() {
  const name = part("new").value.trim();
  if (name) send("class", { name });
}

// --- drawing -------------------------------------------------------------------------------------------------------

function paint() {
  const canvas = part("canvas");
  if (!canvas || !photo?.naturalWidth) return;
  const [wide, high] = state.size;
  canvas.style.width = `calc(${TALL} * ${wide / high})`;  // small images are shown larger
  canvas.width = Math.round((canvas.getBoundingClientRect().width || wide) * devicePixelRatio);
  canvas.height = Math.round((canvas.width * high) / wide);
  const pen = canvas.getContext("2d"), scale = canvas.width / wide;
  pen.drawImage(photo, 0, 0, canvas.width, canvas.height);
  if (state.kind === "masks") paintMask(pen, scale);
  if (state.kind === "boxes") things.forEach((thing, number) => paintBox(pen, scale, thing, number === chosen));
  if (drag?.kind === "new") paintBox(pen, scale, [state.classes[active] ?? "", ...cornersOf(drag)], true);
}

function paintBox(pen, scale, [name, ...corners], strong) {
  const [x1, y1, x2, y2] = corners.map((value) => value * scale), size = 13 * devicePixelRatio;
  pen.strokeStyle = pen.fillStyle = colour(name);
  pen.lineWidth = (strong ? 3 : 2) * devicePixelRatio;
  pen.setLineDash(state.truth || strong ? [] : [8, 5]);
  pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
  pen.setLineDash([]);
  pen.font = `600 ${size}px system-ui, sans-serif`;
  const top = Math.max(y1, size * 1.3);
  pen.fillRect(x1, top - size * 1.3, pen.measureText(name).width + size * 0.7, size * 1.3);
  pen.fillStyle = "#fff";
  pen.fillText(name, x1 + size * 0.35, top - size * 0.35);
}

function paintMask(pen, scale) {
  const layer = new OffscreenCanvas(pen.canvas.width, pen.canvas.height), brush = layer.getContext("2d");
  if (overlay?.naturalWidth) {
    brush.imageSmoothingEnabled = false;
    brush.drawImage(overlay, 0, 0, layer.width, layer.height);
  }
  const live = drag?.kind === "stroke" ? [drag.stroke] : [];
  for (const stroke of [...strokes, ...live]) {
    brush.globalCompositeOperation = stroke.label === null ? "destination-out" : "source-over";
    brush.strokeStyle = brush.fillStyle = stroke.label === null ? "#000" : colour(stroke.label);
    brush.lineWidth = stroke.width * scale;
    brush.lineCap = brush.lineJoin = "round";
    brush.beginPath();
    for (let i = 0; i < stroke.points.length; i += 2) brush.lineTo(stroke.points[i] * scale, stroke.points[i + 1] * scale);
    if (stroke.points.length === 2) brush.lineTo(stroke.points[0] * scale + 0.1, stroke.points[1] * scale);
    stroke.kind === "polygon" ? brush.fill() : brush.stroke();
  }
  pen.globalAlpha = 0.55;
  pen.drawImage(layer, 0, 0);
  pen.globalAlpha = 1;
  if (!cornersSoFar().length) return;
  paintPolygon(pen, scale, cornersSoFar());
}

const cornersSoFar = () => (drag?.kind === "point" ? [...polygon, ...drag.at] : polygon);

function paintPolygon(pen, scale, polygon) {
  pen.strokeStyle = pen.fillStyle = colour(state.classes[active]);
  pen.lineWidth = 3;
  pen.beginPath();
  for (let i = 0; i < polygon.length; i += 2) pen.lineTo(polygon[i] * scale, polygon[i + 1] * scale);
  pen.stroke();
  pen.fillRect(polygon[0] * scale - 5, polygon[1] * scale - 5, 10, 10);
}

// --- mouse, pen and finger --------------------------------------------------------------------------------------------

function place(event) {
  const area = part("canvas").getBoundingClientRect();
  const inside = (value, most) => Math.min(Math.max(value, 0), 1) * most;
  return [
    inside((event.clientX - area.left) / area.width, state.size[0]),
    inside((event.clientY - area.top) / area.height, state.size[1]),
  ];
}

const unit = () => state.size[0] / part("canvas").getBoundingClientRect().width;  // image pixels in one of the screen
const cornersOf = ({ from: [x1, y1], to: [x2, y2] }) => [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];
const within = ([, x1, y1, x2, y2], [x, y]) => x >= x1 && x <= x2 && y >= y1 && y <= y2;

function corner(thing, [x, y], near) {
  for (const h of [1, 3]) for (const v of [2, 4]) if (Math.hypot(thing[h] - x, thing[v] - y) < near) return [h, v];
  return null;
}

// A second finger pinches the page larger, or moves it: what the first one has begun is dropped then.
function down(event) {
  if (!state.image || busy || state.kind === "classes" || event.button) return;
  if (!event.isPrimary) return drop();
  if (!state.classes.length) return part("new").focus();
  event.preventDefault();
  part("canvas").setPointerCapture(event.pointerId);
  const at = place(event), near = (HANDLE[event.pointerType] ?? HANDLE.mouse) * unit();
  drag = { ...begun(at, near), before: JSON.stringify([things, strokes, chosen]) };
  paint();
}

function begun(at, near) {  // what a press at a place begins, with the chosen tool
  if (state.kind === "boxes") {
    const held = chosen >= 0 ? corner(things[chosen], at, near) : null;
    if (held) return { kind: "corner", held };
    return chosen >= 0 && within(things[chosen], at) ? { kind: "move", from: at } : { kind: "new", from: at, to: at };
  }
  if (tool === "polygon") return { kind: "point", at, near };
  const label = tool === "erase" ? null : state.classes[active];
  return { kind: "stroke", stroke: { kind: "brush", label, width: width * unit(), points: at } };
}

function move(event) {
  if (!drag || !event.isPrimary) return;
  const at = place(event);
  drag.moved = true;
  if (drag.kind === "new") drag.to = at;
  else if (drag.kind === "point") drag.at = at;
  else if (drag.kind === "stroke") drag.stroke.points.push(...at);
  else if (drag.kind === "corner") [things[chosen][drag.held[0]], things[chosen][drag.held[1]]] = at;
  else {
    const box = things[chosen];
    const dx = Math.min(Math.max(at[0] - drag.from[0], -box[1]), state.size[0] - box[3]);
    const dy = Math.min(Math.max(at[1] - drag.from[1], -box[2]), state.size[1] - box[4]);
    things[chosen] = [box[0], box[1] + dx, box[2] + dy, box[3] + dx, box[4] + dy];
    drag.from = at;
  }
  paint();
}

function up(event) {
  if (!drag || !event.isPrimary) return;
  const done = drag;
  drag = null;
  if (done.kind === "point") addCorner(done);
  else if (done.kind === "new") addBox(done);
  else if (done.kind === "stroke" || done.moved) past.push(done.before);
  if (done.kind === "stroke") strokes.push(done.stroke);
  if (done.kind === "corner") {
    const [name, x1, y1, x2, y2] = things[chosen];
    things[chosen] = [name, ...cornersOf({ from: [x1, y1], to: [x2, y2] })];
  }
  paint();
}

function drop() {
  if (!drag) return;
  [things, strokes, chosen] = JSON.parse(drag.before);
  drag = null;
  paint();
}

function addCorner({ at: [x, y], near }) {  // one near the first closes the polygon
  const closes = polygon.length > 4 && Math.hypot(polygon[0] - x, polygon[1] - y) < near;
  closes ? closePolygon() : polygon.push(x, y);
}

function addBox(drawn) {  // too small a one is a click, which chooses
  const corners = cornersOf(drawn), small = 4 * unit();
  if (corners[2] - corners[0] > small && corners[3] - corners[1] > small) {
    past.push(drawn.before);
    chosen = things.push([state.classes[active], ...corners]) - 1;
  } else chosen = smallestAt(drawn.from);
}

function smallestAt(at) {
  const area = ([, x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
  const under = things.map((thing, number) => [thing, number]).filter(([thing]) => within(thing, at));
  return under.sort(([a], [b]) => area(a) - area(b))[0]?.[1] ?? -1;
}

function closePolygon() {
  if (polygon.length > 4) {
    remember();
    strokes.push({ kind: "polygon", label: state.classes[active], points: polygon, width: 1 });
  }
  polygon = [];
}

// --- keys -------------------------------------------------------------------------------------------------------------

function key(event) {
  if (!element.isConnected) return document.removeEventListener("keydown", key);
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName);
  if (!element.offsetParent || typing || event.ctrlKey || event.metaKey || event.altKey || drag || !state.project) return;
  const pressed = event.key;
  if (/^[1-9]$/.test(pressed)) choose(Number(pressed) - 1);
  else if (pressed === "Enter") polygon.length > 4 ? (closePolygon(), paint()) : save();
  else if (pressed === "ArrowRight") state.image && send("skip");
  else if (pressed === "ArrowLeft" || pressed === "z") undo();
  else if (pressed === "Delete" || pressed === "Backspace") remove();
  else if (pressed === "Escape") { polygon = []; chosen = -1; paint(); }
  else return;
  event.preventDefault();
}

// --- what stands around the image ---------------------------------------------------------------------------------------

function button(name, text, act, more = {}) {
  return make("button", { type: "button", id: `label-${name}`, onclick: act, ...more }, text);
}

function buttons() {
  const known = state.proposal?.label ?? state.truth?.label;
  part("classes").replaceChildren(...state.classes.map((name, number) => {
    const pressed = state.kind === "classes" ? name === known : number === active;
    const node = button(`class-${number + 1}`, "", () => choose(number), { "aria-pressed": String(pressed) });
    node.append(number < 9 ? make("kbd", {}, String(number + 1)) : "", make("i", { style: `background:${colour(name)}` }), name);
    return node;
  }));
  for (const name of ["brush", "polygon", "erase"]) element.querySelector(`#label-${name}`)?.setAttribute("aria-pressed", String(name === tool));
}

function tools() {
  const words = state.words;
  if (state.kind === "boxes") return [button("remove", words.remove, remove)];
  if (state.kind !== "masks") return [];
  const pick = (name) => button(name, words[name], () => { closePolygon(); tool = name; buttons(); paint(); });
  const size = make("input", { type: "range", min: 2, max: 120, value: width, "aria-label": words.size, oninput: (event) => { width = Number(event.target.value); } });
  return [pick("brush"), pick("polygon"), pick("erase"), make("label", {}, words.size, size)];
}

function draw() {
  const before = state, unsaved = !saved && (past.length || polygon.length);
  state = props.value?.project ? props.value : {};
  busy = false;
  element.classList.remove("busy");
  if (!state.project) return element.replaceChildren();
  const { words } = state, truth = state.truth ?? state.proposal ?? {};
  if (!unsaved || before.project !== state.project || before.image !== state.image) {
    things = structuredClone(truth.boxes ?? []);
    base = truth.shapes ?? [];
    [strokes, past, polygon, chosen, drag] = [[], [], [], -1, null];
  }
  saved = false;
  active = Math.min(active, Math.max(0, state.classes.length - 1));
  const accept = state.kind === "classes" ? words.accept : words.save;
  const idle = state.kind === "classes" && !state.proposal && !state.truth;
  element.replaceChildren(make("div", { class: "label-desk" },
    make("div", { class: "label-progress" },
      make("span", { id: "label-progress" }, state.progress), make("div", { class: "bar" }, make("div", { style: `width:${100 * state.share}%` }))),
    make("p", { id: "label-said" }, state.said),
    make("div", { class: "label-stage", hidden: state.image ? null : "" },
      make("canvas", { "data-part": "canvas", id: "label-canvas", role: "img", "aria-label": `${words.stage} ${state.image ?? ""}`, onpointerdown: down, onpointermove: move, onpointerup: up, onpointercancel: drop, oncontextmenu: (event) => event.preventDefault() })),
    make("div", { class: "label-row", "data-part": "classes", role: "group" }),
    make("div", { class: "label-row", "data-part": "tools" }, ...tools()),
    make("div", { class: "label-row" },
      button("undo", words.undo, undo), button("skip", words.skip, () => state.image && send("skip"), { disabled: state.image ? null : "" }),
      button("save", accept, save, { class: "strong", disabled: !state.image || idle ? "" : null })),
    make("div", { class: "label-row" }, make("input", { "data-part": "new", id: "label-new", type: "text", maxlength: 80, placeholder: words.new_class, "aria-label": words.new_class, onkeydown: (event) => { if (event.key === "Enter") { event.preventDefault(); addClass(); } } }), button("add", words.add, addClass)),
    make("p", { class: "label-hint", id: `label-hint-${state.kind}` }, words[`hint.${state.kind}`])));
  part("canvas").style.touchAction = state.kind === "classes" ? "auto" : "pinch-zoom";
  buttons();
  photo = overlay = null;
  if (state.src) { photo = make("img", { onload: paint }); photo.src = state.src; }
  if (state.overlay) { overlay = make("img", { onload: paint }); overlay.src = state.overlay; }
}

window.studioLabel = { sent: () => out, free: () => { busy = saved = false; element.classList.remove("busy"); } };
document.addEventListener("keydown", key);
watch("value", draw);
draw();
