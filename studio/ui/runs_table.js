// The list of runs: a column's head sorts by it (again: the other way round), a row's name chooses it,
// its tick compares it with others.
// (Runs once as the component appears; Gradio hands over `element`, `props`, `trigger`, `watch`.)
const order = { column: -1, down: false };

function before(left, right) {  // numbers by their size, texts by the alphabet; what is lacking comes last either way
  const [a, b] = [left, right].map((row) => row.cells[order.column].dataset.by);
  if (a === "" || b === "") return (a === "") - (b === "");
  const numbers = !isNaN(a) && !isNaN(b);
  const way = numbers ? a - b : a.localeCompare(b);
  return order.down ? -way : way;
}

function sort() {
  const [head, body] = [element.querySelector("thead tr"), element.querySelector("tbody")];
  if (!head || order.column < 0) return;
  [...head.cells].forEach((cell, column) => {
    cell.ariaSort = column !== order.column ? "none" : order.down ? "descending" : "ascending";
  });
  body.append(...[...body.rows].sort(before));
}

function draw() {
  element.innerHTML = props.value ?? "";
  for (const run of window.studioTickedRuns ?? []) {
    const box = element.querySelector(`tr[data-run="${run}"] input`);
    if (box) box.checked = true;
  }
  sort();
}

element.addEventListener("change", () => {  // runs that are ticked are compared
  const ticked = [...element.querySelectorAll("tbody input:checked")];
  window.studioTickedRuns = ticked.map((box) => box.closest("tr").dataset.run);
  trigger("ticked");
});
element.addEventListener("click", (event) => {
  if (event.target.closest("input")) return;
  const head = event.target.closest("thead th");
  const row = event.target.closest("tbody tr");
  if (head) {
    order.down = order.column === head.cellIndex ? !order.down : head.dataset.first === "down";
    order.column = head.cellIndex;
    sort();
  } else if (row) {
    window.studioChosenRun = row.dataset.run;
    trigger("chosen");
  }
});
watch("value", draw);
draw();
