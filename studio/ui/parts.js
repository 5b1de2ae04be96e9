// Parts of a component, made and found by name: read before each script that draws one (studio.ui.scripts).
const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes))
    key.startsWith("on") ? node.addEventListener(key.slice(2), value) : value != null && node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const part = (name) => element.querySelector(`[data-part="${name}"]`);
const idle = window.requestIdleCallback ?? ((act) => setTimeout(act, 50));  // Safari has none
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
// Gives a file to a box for files, as if it had been chosen there; waits for a box that is busy.
async function hand(box, file) {
  const input = () => document.querySelector(`${box} input[type=file]`);
  for (let wait = 0; wait < 50 && !input(); wait++) await pause(100);
  const chosen = new DataTransfer();
  chosen.items.add(file);
  input().files = chosen.files;
  input().dispatchEvent(new Event("change"));
}
