// A folder that is dropped here, or chosen, becomes a zip in the browser and is given to the box for zips: files are
// stored as they are (APPNOTE 4.3), read one at a time, and never held in memory together.
const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

async function crc32(file) {
  let crc = 0xffffffff;
  for (const byte of new Uint8Array(await file.arrayBuffer())) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function record(signature, fields, name) {  // little-endian numbers, each with its bytes, then the name
  const bytes = new DataView(new ArrayBuffer(4 + fields.reduce((sum, [, size]) => sum + size, 0)));
  bytes.setUint32(0, signature, true);
  let at = 4;
  for (const [value, size] of fields) {
    size === 2 ? bytes.setUint16(at, value, true) : bytes.setUint32(at, value, true);
    at += size;
  }
  return name ? new Blob([bytes, name]) : new Blob([bytes]);
}

async function zipped(files) {  // [path, file] pairs
  const parts = [], directory = [];
  let offset = 0;
  for (const [path, file] of files) {
    const name = new TextEncoder().encode(path);
    const common = [[20, 2], [0x800, 2], [0, 2], [0, 2], [33, 2], [await crc32(file), 4], [file.size, 4], [file.size, 4],
                    [name.length, 2], [0, 2]];
    const head = record(0x04034b50, common, name);
    parts.push(head, file);
    directory.push(record(0x02014b50, [[20, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]], name));
    offset += head.size + file.size;
  }
  const size = directory.reduce((sum, part) => sum + part.size, 0);
  const end = [[0, 2], [0, 2], [files.length, 2], [files.length, 2], [size, 4], [offset, 4], [0, 2]];
  return new Blob([...parts, ...directory, record(0x06054b50, end)]);
}

async function within(entry) {  // of a dropped file or folder, all files with their paths
  if (entry.isFile) return [[entry.fullPath.slice(1), await new Promise((done, fail) => entry.file(done, fail))]];
  const reader = entry.createReader(), found = [];
  for (;;) {  // a hundred entries at a time
    const entries = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!entries.length) return found;
    for (const child of entries) found.push(...await within(child));
  }
}

function inside(files) {  // without hidden files, and without the one folder that everything lies in
  const shown = files.filter(([path]) => !path.split("/").some((part) => part.startsWith(".")));
  const [top] = (shown[0]?.[0] ?? "").split("/");
  const single = shown.length && shown.every(([path]) => path.startsWith(`${top}/`));
  return [single ? top : "folder", single ? shown.map(([path, file]) => [path.slice(top.length + 1), file]) : shown];
}

async function give(files) {
  const [name, shown] = inside(files);
  if (!shown.length) return;
  element.classList.add("busy");
  try {
    document.querySelector("#data-zip button[aria-label='Clear']")?.click();
    await hand("#data-zip", new File([await zipped(shown)], `${name}.zip`, { type: "application/zip" }));
  } finally {
    element.classList.remove("busy");
  }
}

element.addEventListener("dragover", (event) => event.preventDefault());
element.addEventListener("drop", async (event) => {
  event.preventDefault();
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  give((await Promise.all(entries.map(within))).flat());
});
element.addEventListener("change", (event) => {
  give([...event.target.files].map((file) => [file.webkitRelativePath || file.name, file]));
  event.target.value = "";
});
