// The tabs of the page, in the browser alone: Gradio would visit all that lies in them, and more than once.
const tabs = window.gradio_config.components.filter(({ type, props }) => type === "tabitem" && /^tab-/.test(props.elem_id));

// Opens a tab by the last part of its `elem_id`; on a narrow screen the last ones lie in a menu.
window.studioTab = (name) => {
  const heads = document.querySelectorAll("#tabs > .tab-wrapper :is(.tab-container:not(.visually-hidden), .overflow-dropdown) > button");
  heads[tabs.findIndex(({ props }) => props.elem_id === `tab-${name}`)].click();
};

// The parts of the other tabs are made while nobody waits for anything, one tab at a time, so that each opens at once.
// Gradio makes those of a tab when it is told that the tab was chosen; one that was chosen meanwhile has them already.
const waiting = [...tabs];
const makeNext = () => {
  const tab = waiting.shift();
  if (!tab) return;
  trigger("gradio_tab_select", { component_id: tab.id });
  idle(makeNext);
};
setTimeout(() => idle(makeNext), 500);
