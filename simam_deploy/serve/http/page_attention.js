// The gates of each SimAM: a small map each, and one of them over the picture.
let attended = null;
// From dark blue to yellow, evenly brighter, so that it reads on both grounds and without colour.
const STOPS = [[40, 30, 90], [70, 60, 150], [40, 120, 160], [50, 170, 130], [150, 205, 80], [250, 230, 60]];

function colour(t) {
  const place = Math.min(Math.max(t, 0), 1) * (STOPS.length - 1);
  const i = Math.min(Math.floor(place), STOPS.length - 2);
  return STOPS[i].map((low, k) => Math.round(low + (STOPS[i + 1][k] - low) * (place - i)));
}

function planeOfGates(site) {
  const rows = site.gates, height = rows.length, width = rows[0].length;
  const values = rows.flat(), canvas = element("canvas");
  site.low = Math.min(...values);
  site.high = Math.max(...values);
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  values.forEach((value, i) => {
    image.data.set([...colour((value - site.low) / (site.high - site.low || 1)), 255], 4 * i);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

function heatmap(site, place) {
  const canvas = site.plane = planeOfGates(site);
  canvas.style.aspectRatio = canvas.width + " / " + canvas.height;
  const figure = element("figure"), caption = element("figcaption", site.name);
  const span = `${site.low.toFixed(3)} to ${site.high.toFixed(3)}`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `gates of ${site.name}, ${span}`);
  canvas.title = "Lay over the picture";
  canvas.addEventListener("click", () => { at("over").value = place + 1; draw(); });
  caption.append(element("br"), `${site.height} × ${site.width}, ${span}`);
  figure.append(canvas, caption);
  return figure;
}

function showAttention(answer) {
  attended = answer;
  at("maps").replaceChildren(...answer.attention.map(heatmap));
  at("low").textContent = "low";
  at("high").textContent = "high";
  const steps = STOPS.map(rgb => `rgb(${rgb})`).join(", ");
  at("ramp").style.background = `linear-gradient(to right, ${steps})`;
  at("unseen").textContent = answer.attention_note || "";
  at("unseen").hidden = !answer.attention_note;
  at("scale").hidden = at("laid").hidden = !answer.attention.length;
  at("over").max = answer.attention.length;
  at("over").value = 0;
  at("attention").hidden = false;
  draw();
}

function clearAttention() {
  attended = null;
  at("attention").hidden = true;
  at("maps").replaceChildren();
  draw();
}

function drawAttention(context, scale) {
  const site = attended?.attention[at("over").value - 1];
  at("whose").textContent = site ? site.name : "none";
  for (const each of attended?.attention || [])
    each.plane.parentElement.classList.toggle("chosen", each === site);
  if (!site) return;
  const [left, top, right, bottom] = attended.attention_box.map(side => side * scale);
  context.globalAlpha = at("strength").value / 100;
  context.drawImage(site.plane, left, top, right - left, bottom - top);
  context.globalAlpha = 1;
}
