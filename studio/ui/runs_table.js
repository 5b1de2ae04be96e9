// The list of runs: a column's head sorts by it (again: the other way round), a row's name chooses it.
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
  sort();
}

element.addEventListener("click", (event) => {
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
