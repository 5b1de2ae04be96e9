// The form is the recipe: it is read from the screen when it is sent, and kept nowhere else.
// (Runs once as the form's component appears; Gradio hands over `element`, `props`, `trigger`, `watch`.)
const DRAFT = props.draft;  // where a refresh of this tab finds it again

function read() {
  const form = element.querySelector("form");
  if (!form) return "";
  const entries = [...form.querySelectorAll("[data-key]")];
  const texts = Object.fromEntries(entries.map((e) => [e.dataset.key, e.type === "checkbox" ? e.checked : e.value]));
  const box = (id) => document.querySelector(`#${id} input`)?.value ?? "";
  const shown = { preset: box("train-preset"), method: box("train-method") };
  return JSON.stringify({ method: form.dataset.method, preset: form.dataset.preset, texts, shown });
}

function lock(locked) {
  const fields = element.querySelector("fieldset");
  if (fields) fields.disabled = locked;
}

function keep() {
  if (element.querySelector("form")) sessionStorage.setItem(DRAFT, read());
}

function fitToOwnData(edited) {  // what a preset states for its small built-in images is not for a person's own
  const own = /(^|,)\s*(?!builtin:)[A-Za-z][\w+-]*:/;
  if (!edited.dataset.key?.startsWith("data.")) return;
  if (!edited.defaultValue.startsWith("builtin:") || !own.test(edited.value)) return;
  for (const entry of element.querySelectorAll("[data-own]"))
    if (entry.value === entry.defaultValue && (entry.dataset.ownOf ?? edited.dataset.key) === edited.dataset.key)
      entry.value = entry.dataset.own;
}

function draw() {
  const open = [...element.querySelectorAll("details[open]")].map((part) => part.id);
  element.innerHTML = props.value?.html ?? "";
  for (const id of open) element.querySelector(`#${id}`)?.setAttribute("open", "");
  keep();
  idle(() => trigger("edited"), { timeout: 500 });  // the form is seen first, then what it costs and says
}

element.addEventListener("submit", (event) => event.preventDefault());
element.addEventListener("input", (event) => { fitToOwnData(event.target); keep(); });
element.addEventListener("change", () => { keep(); trigger("edited"); });
window.studioForm = { read, lock };
watch("value", draw);
draw();
