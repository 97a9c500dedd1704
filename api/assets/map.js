// Draws every city as a point in the colour of its temperature. The data come from /map, which answers
// 304 while nothing has changed. The city nearest to the pointer is named; a click opens its timeline.

import { openCity } from "./search.js";

const REFRESH_MS = 15000;
const NEAR_PX = 12;
// The range of latitudes that is drawn; no city is outside of it.
const [NORTH, SOUTH] = [78, -57];
const CELL_PX = 16;
// From cold to hot, each step lighter than the one before, so that the ramp is readable without hues.
// Blue, violet, orange and yellow differ for every common kind of colour blindness.
const [COLDEST, HOTTEST] = [-30, 45];
const RAMP = ["#3f63d8", "#6a63e6", "#9a62dd", "#c868bf", "#e87a92", "#f59a63", "#f9c254", "#fdf08a"];
const UNKNOWN = "#5c6f7f";
const LINES = "#15242f";

const canvas = document.getElementById("map");
const note = document.getElementById("map-note");
const tip = document.getElementById("map-tip");

let cities = null;
let cells = new Map();

export function drawMap() {
  drawLegend();
  new ResizeObserver(draw).observe(canvas);
  canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => name(nearest(offsetX, offsetY)));
  canvas.addEventListener("pointerleave", () => name(null));
  canvas.addEventListener("click", ({ offsetX, offsetY }) => {
    const city = nearest(offsetX, offsetY);
    if (city) openCity(city.id);
  });
  refresh();
  setInterval(() => { if (!document.hidden) refresh(); }, REFRESH_MS);
}

async function refresh() {
  const response = await fetch("/map").catch(() => null);
  if (!response?.ok) {
    note.textContent = cities ? "last known values" : "The map could not be loaded.";
    return;
  }
  const map = read(await response.text());
  if (map.at === cities?.at) return;
  cities = map;
  const known = map.temperature.filter((tenths) => tenths !== null);
  const [least, most] = [Math.min, Math.max].map((of) => known.reduce((a, b) => of(a, b), known[0]) / 10);
  note.textContent = !map.ids.length ? "No city is stored yet. Import one to see it here."
    : !known.length ? `${count(map.ids.length)} cities, none with a snapshot yet`
    : `${count(known.length)} of ${count(map.ids.length)} cities, ${degrees(least)} to ${degrees(most)}`;
  canvas.setAttribute("aria-label", `Map of all cities. ${note.textContent}`);
  draw();
}

// Derived city ids have 64 bits, more than a JavaScript number can hold, so ids are read as text.
function read(text) {
  const map = JSON.parse(text);
  const [, ids] = text.match(/"ids":\[([^\]]*)\]/);
  map.ids = ids ? ids.split(",") : [];
  return map;
}

function draw() {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width) return;
  const scale = devicePixelRatio || 1;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  drawLines(pen, width, height);
  cells = new Map();
  if (!cities) return;
  // Points are drawn colour by colour, because changing the colour for each of 34,006 points is slow.
  const byColour = new Map();
  cities.ids.forEach((id, n) => {
    const x = (cities.longitude[n] / 100 + 180) / 360 * width;
    const y = (NORTH - cities.latitude[n] / 100) / (NORTH - SOUTH) * height;
    const tenths = cities.temperature[n];
    const colour = tenths === null ? UNKNOWN : colourOf(tenths / 10);
    if (!byColour.has(colour)) byColour.set(colour, []);
    byColour.get(colour).push(x, y);
    const cell = `${Math.floor(x / CELL_PX)},${Math.floor(y / CELL_PX)}`;
    if (!cells.has(cell)) cells.set(cell, []);
    cells.get(cell).push({ n, x, y });
  });
  // The fewer cities, the larger the points.
  const size = Math.min(4, Math.max(1.2, width / 620 * (cities.ids.length < 3000 ? 2 : 1)));
  // Cities without a temperature are drawn first, below the others.
  const unknownFirst = [...byColour].sort(([a], [b]) => (b === UNKNOWN) - (a === UNKNOWN));
  for (const [colour, points] of unknownFirst) {
    pen.fillStyle = colour;
    for (let i = 0; i < points.length; i += 2) {
      pen.fillRect(points[i] - size / 2, points[i + 1] - size / 2, size, size);
    }
  }
}

// Equator, tropics and circles, and a meridian every 30 degrees.
function drawLines(pen, width, height) {
  pen.clearRect(0, 0, width, height);
  pen.strokeStyle = LINES;
  pen.lineWidth = 1;
  pen.beginPath();
  for (const latitude of [66.56, 23.44, 0, -23.44]) {
    const y = Math.round((NORTH - latitude) / (NORTH - SOUTH) * height) + 0.5;
    pen.moveTo(0, y);
    pen.lineTo(width, y);
  }
  for (let longitude = -150; longitude < 180; longitude += 30) {
    const x = Math.round((longitude + 180) / 360 * width) + 0.5;
    pen.moveTo(x, 0);
    pen.lineTo(x, height);
  }
  pen.stroke();
}

function drawLegend() {
  const legend = document.getElementById("map-legend");
  const pen = legend.getContext("2d");
  for (let x = 0; x < legend.width; x += 1) {
    pen.fillStyle = colourOf(COLDEST + (HOTTEST - COLDEST) * x / (legend.width - 1));
    pen.fillRect(x, 0, 1, 1);
  }
}

// Rounded to half degrees, so that there are few colours.
function colourOf(celsius) {
  const part = (Math.round(celsius * 2) / 2 - COLDEST) / (HOTTEST - COLDEST);
  const position = Math.min(1, Math.max(0, part)) * (RAMP.length - 1);
  const low = Math.min(RAMP.length - 2, Math.floor(position));
  const mix = position - low;
  const channels = [1, 3, 5].map((at) => {
    const [a, b] = [RAMP[low], RAMP[low + 1]].map((colour) => parseInt(colour.slice(at, at + 2), 16));
    return Math.round(a + (b - a) * mix);
  });
  return `rgb(${channels.join(" ")})`;
}

function nearest(x, y) {
  let best = null;
  let distance = NEAR_PX ** 2;
  const [column, row] = [Math.floor(x / CELL_PX), Math.floor(y / CELL_PX)];
  for (let dx = -1; dx <= 1; dx += 1) {
    for (let dy = -1; dy <= 1; dy += 1) {
      for (const point of cells.get(`${column + dx},${row + dy}`) ?? []) {
        const far = (point.x - x) ** 2 + (point.y - y) ** 2;
        if (far < distance) [best, distance] = [point, far];
      }
    }
  }
  return best && { ...best, id: cities.ids[best.n] };
}

function name(city) {
  tip.hidden = !city;
  if (!city) return;
  const tenths = cities.temperature[city.n];
  tip.textContent = `${cities.names[city.n]}, ${tenths === null ? "no snapshot" : degrees(tenths / 10)}`;
  const right = city.x > canvas.clientWidth / 2;
  tip.style.left = right ? "auto" : `${city.x + 8}px`;
  tip.style.right = right ? `${canvas.clientWidth - city.x + 8}px` : "auto";
  tip.style.top = `${Math.max(0, city.y - 28)}px`;
}

function degrees(celsius) {
  return `${celsius.toFixed(1).replace("-", "−")} °C`;
}

function count(number) {
  return number.toLocaleString("en");
}
