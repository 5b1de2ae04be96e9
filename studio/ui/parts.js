// Parts of a component, made and found by name: read before each script that draws one (studio.ui.scripts).
const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes))
    key.startsWith("on") ? node.addEventListener(key.slice(2), value) : value != null && node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const part = (name) => element.querySelector(`[data-part="${name}"]`);
