"use strict";
// What was detected in a picture, or the regions of its classes, drawn over it and listed beside it.
let detects = false, segments = false, found = null, pointed = null;
const sure = each => segments || each.score > at("least").value / 100;
// One colour each, by the golden angle from blue on, so that those next in the list are far apart.
const colourOf = each => rgb((215 + 137.5 * found.indexOf(each)) % 360);

function planeOf(each) {
  const mask = each.mask, plane = element("canvas"), [r, g, b] = colourOf(each);
  plane.width = mask.width; plane.height = mask.height;
  const image = new ImageData(mask.width, mask.height), pixels = new Uint32Array(image.data.buffer);
  const packed = (255 << 24 | b << 16 | g << 8 | r) >>> 0;
  let place = 0;
  mask.counts.forEach((count, turn) => {
    if (turn % 2) pixels.fill(packed, place, place + count);
    place += count;
  });
  plane.getContext("2d").putImageData(image, 0, 0);
  return plane;
}

function drawMask(context, each, strength) {
  if (!each.mask?.width) return;
  each.plane ||= planeOf(each);
  context.globalAlpha = strength;
  context.drawImage(each.plane, each.mask.left, each.mask.top);
}

function rgb(degrees) {  // a hue of even strength, light enough for dark text
  return [0, 8, 4].map(third => {
    const turn = (third + degrees / 30) % 12;
    return Math.round(255 * (0.56 - 0.36 * Math.max(-1, Math.min(turn - 3, 9 - turn, 1))));
  });
}

function drawBox(context, each, scale, faint) {
  const [left, top, right, bottom] = each.box.map(side => side * scale), ratio = devicePixelRatio;
  const text = `${each.label} ${Math.round(100 * each.score)} %`, high = 18 * ratio;
  context.globalAlpha = faint ? 0.25 : 1;
  context.lineWidth = 2 * ratio;
  context.strokeStyle = context.fillStyle = `rgb(${colourOf(each)})`;
  context.strokeRect(left, top, right - left, bottom - top);
  context.font = `${12 * ratio}px system-ui, sans-serif`;
  const wide = context.measureText(text).width + 8 * ratio;
  const x = Math.max(0, Math.min(left - ratio, context.canvas.width - wide));
  const y = top < high ? top : top - high;
  context.fillRect(x, y, wide, high);
  context.fillStyle = "#10141a";
  context.fillText(text, x + 4 * ratio, y + 13 * ratio);
}

function draw() {
  const canvas = at("drop").querySelector("canvas"), image = at("drop").querySelector("img");
  at("share").textContent = at("least").value + " %";
  if (!canvas || !image.clientWidth) return;  // none yet, or it is no picture
  canvas.width = image.clientWidth * devicePixelRatio;
  canvas.height = image.clientHeight * devicePixelRatio;
  const context = canvas.getContext("2d"), scale = canvas.width / image.naturalWidth;
  drawAttention(context, scale);
  if (!found) return;
  const shown = found.filter(sure).reverse();  // the surest on top
  context.scale(scale, scale);
  shown.forEach(each => drawMask(context, each, pointed && pointed !== each ? 0.1 : 0.45));
  context.resetTransform();
  shown.filter(each => each.box).forEach(each => drawBox(context, each, scale, pointed && pointed !== each));
}

function showDetections(milliseconds) {
  const shown = found.filter(sure);
  at("classes").replaceChildren(...shown.map(each => {
    const item = element("li"), label = element("span", undefined, "label");
    const swatch = element("i", undefined, "swatch");
    swatch.style.background = `rgb(${colourOf(each)})`;
    label.append(swatch, each.label);
    item.append(label, element("span", (100 * (each.share ?? each.score)).toFixed(1) + " %", "percent"));
    item.addEventListener("mouseenter", () => { pointed = each; draw(); });
    item.addEventListener("mouseleave", () => { pointed = null; draw(); });
    return item;
  }));
  if (!shown.length) at("classes").replaceChildren(element("li", "Nothing that is surer.", "soft"));
  draw();
  if (milliseconds !== undefined) showTime(milliseconds);
}
