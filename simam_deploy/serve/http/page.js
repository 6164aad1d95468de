const at = id => document.getElementById(id);
function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

async function ask(path, options = {}) {
  const token = at("token").value;
  const headers = token ? {Authorization: "Bearer " + token} : {};
  const response = await fetch(path, {...options, headers}).catch(() => {
    throw new Error("The server does not answer. Is it still running?");
  });
  if (response.status === 401) at("token-label").hidden = false;
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(inWords(response.status, answer.error, Boolean(token)));
  return answer;
}

const WORDS = {
  400: "This cannot be used.", 403: "The server does not serve this page's address.",
  404: "The model is not there any more.", 413: "This file is larger than the server takes.",
  415: "This cannot be used.", 500: "The model failed.",
  503: "The server is busy. Try again in a moment.", 504: "The model took too long.",
};

function inWords(status, said, withToken) {
  if (status === 401)
    return withToken ? "This is not the server's token." : "The server asks for a token: type it in above.";
  return [WORDS[status] || `The server answered ${status}.`, said && `(${said})`].filter(Boolean).join(" ");
}

function clearResults() {
  found = pointed = null;
  at("took").hidden = true;
  clearAttention();
  at("classes").replaceChildren(element("li", "Nothing yet.", "soft"));
}

async function attempt(work) {
  try { at("error").textContent = ""; return await work(); }
  catch (error) { at("error").textContent = error.message; }
}

const NAMES = {
  runtime: "Runtime", arch: "Network", precision: "Precision", lowering: "SimAM written as",
  e_lambda: "SimAM's λ", e_lambda_source: "λ comes from", simam_sites: "SimAM sites",
};
const modelPath = () => "v2/models/" + encodeURIComponent(at("model").value);

async function listModels() {
  const listed = await ask("v2/repository/index", {method: "POST", body: '{"ready": true}'});
  at("model").replaceChildren(...listed.map(m => element("option", m.name)));
  if (listed.length) await showModel();
}

async function showModel() {
  const name = at("model").value;
  const [facts, config] = await Promise.all([ask(modelPath()), ask(modelPath() + "/config")]);
  if (name !== at("model").value) return;  // another was chosen meanwhile
  at("picture").hidden = !facts.parameters?.takes_pictures;
  detects = Boolean(facts.parameters?.detects);
  segments = !detects && Boolean(facts.parameters?.segments);
  at("picture").classList.toggle("wide", detects || segments);
  at("heading").textContent = detects ? "Detections" : segments ? "Regions" : "Classes";
  at("surer").hidden = !detects;
  clearResults();
  const tensors = list => list.map(t => `${t.name}  ${t.datatype}  [${t.shape.join(", ")}]`);
  const rows = [
    ["Version", facts.versions], ["Platform", [facts.platform]],
    ["Inputs", tensors(facts.inputs)], ["Outputs", tensors(facts.outputs)],
    ["Batch", [config.max_batch_size ? "up to " + config.max_batch_size : "requests run one by one"]],
    ...Object.entries(facts.parameters || {}).filter(([k]) => k in NAMES)
      .map(([k, v]) => [NAMES[k], [String(v)]]),
  ];
  at("facts").replaceChildren(...rows.map(([name, values]) => {
    const row = element("tr"), cell = element("td");
    values.forEach(value => { cell.append(element("code", value), element("br")); });
    row.append(element("th", name), cell);
    return row;
  }));
}

function showTime(milliseconds) {
  at("took").textContent = `${Math.round(milliseconds)} ms, there and back`;
  at("took").hidden = false;
}

function showClasses(classes, milliseconds) {
  at("classes").replaceChildren(...classes.map(c => {
    const item = element("li"), track = element("div", undefined, "track"), bar = element("div");
    bar.style.width = 100 * c.probability + "%";
    track.append(bar);
    item.append(element("span", c.label, "label"),
                element("span", (100 * c.probability).toFixed(1) + " %", "percent"), track);
    return item;
  }));
  showTime(milliseconds);
}

let shown = "";
async function look(file) {
  const image = element("img"), frame = element("div", undefined, "shown");
  URL.revokeObjectURL(shown);
  image.src = shown = URL.createObjectURL(file);
  image.alt = "the picture";
  frame.append(image, element("canvas"));
  at("drop").querySelector("span, .shown").replaceWith(frame);
  clearResults();
  await (detects || segments ? detect(file) : classify(file));
}

async function detect(file) {
  const begun = performance.now(), mine = shown;
  const route = segments ? "/segment?" : "/detect?masks=1&threshold=0.05&";
  const answer = await ask(modelPath() + route, {method: "POST", body: file});
  if (mine !== shown) return;  // another picture was dropped meanwhile
  found = answer.regions || answer.detections;
  const took = performance.now() - begun;
  await at("drop").querySelector("img").decode();
  showDetections(took);
  await lookAt((segments ? route : "/detect?threshold=1&") + "attention=1", file, mine);
}

async function classify(file) {
  const begun = performance.now(), mine = shown;
  const answer = await ask(modelPath() + "/classify", {method: "POST", body: file});
  if (mine !== shown) return;
  showClasses(answer.classes, performance.now() - begun);
  await lookAt("/classify?attention=1", file, mine);
}

async function lookAt(tail, file, mine) {  // after the answer that people wait for
  try {
    const more = await ask(modelPath() + tail, {method: "POST", body: file});
    if (mine === shown) showAttention(more);
  } catch { clearAttention(); }
}

at("file").addEventListener("change", event => {
  if (event.target.files[0]) attempt(() => look(event.target.files[0]));
});
for (const kind of ["dragenter", "dragover"]) at("drop").addEventListener(kind, event => {
  event.preventDefault(); at("drop").classList.add("over");
});
for (const kind of ["dragleave", "drop"]) at("drop").addEventListener(kind, event => {
  event.preventDefault(); at("drop").classList.remove("over");
});
at("drop").addEventListener("drop", event => {
  const file = event.dataTransfer.files[0];
  if (file) attempt(() => look(file));
});
at("least").addEventListener("input", () => found ? showDetections() : draw());
for (const slider of ["over", "strength"]) at(slider).addEventListener("input", draw);
addEventListener("resize", draw);
at("model").addEventListener("change", () => attempt(showModel));
at("token").addEventListener("change", () => attempt(listModels));
attempt(listModels);
