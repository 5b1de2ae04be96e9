// Shots of a webcam become photos of a class: each is given to the box of its class, as if it had been chosen there.
const photos = (number) => document.querySelectorAll(`#class-files-${number} .file`).length;

function offer() {  // a button for each class that has a name; until the camera is there they can't be pressed
  const disabled = part("video").videoWidth ? null : "";
  const classes = [...document.querySelectorAll("[id^=class-name-] input")].map((input) => [
    Number(input.closest("[id^=class-name-]").id.split("-").pop()), input.value.trim(),
  ]).filter(([, name]) => name);
  const shutter = ([number, name]) => make("button", { type: "button", disabled, onclick: () => shoot(number) }, name);
  part("classes").replaceChildren(...classes.map(shutter));
  part("unnamed").hidden = classes.length > 0;
}

const release = (camera) => camera?.getTracks().forEach((track) => track.stop());

async function watch(open) {
  const video = part("video");
  release(video.srcObject);
  video.srcObject = null;
  part("refused").hidden = true;
  if (!open) return;
  offer();
  try {
    const camera = await navigator.mediaDevices.getUserMedia({ video: true });
    if (!part("panel").open) return release(camera);  // closed while it was asked for
    video.srcObject = camera;
    await video.play();
    offer();
  } catch {  // refused, none there, or the page is not on a safe address
    part("refused").hidden = false;
  }
}

async function shoot(number) {
  const video = part("video"), canvas = make("canvas"), before = photos(number);
  const buttons = [...part("classes").children];
  buttons.forEach((button) => button.disabled = true);
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  try {
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.95));
    await hand(`#class-files-${number}`, new File([blob], `webcam-${Date.now()}.jpg`, { type: "image/jpeg" }));
    for (let wait = 0; wait < 100 && photos(number) <= before; wait++) await pause(50);  // one after the other
  } finally {
    buttons.forEach((button) => button.disabled = false);
  }
}

element.addEventListener("toggle", (event) => watch(event.target.open), true);
document.addEventListener("input", (event) => {
  if (event.target.closest?.("[id^=class-name-]") && part("panel")?.open) offer();
});
new IntersectionObserver((looks) => {  // the camera is let go where another tab is looked at
  if (!looks.at(-1).boundingClientRect.width && part("panel")) part("panel").open = false;
}).observe(element);
