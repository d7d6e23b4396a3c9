"use strict";
// The three interactive parts: a triangle of predictions, a gradient check, a recorded training.
// The page is complete without this script. It changes elements that are there, by the rules of plots.py.
const data = JSON.parse(document.getElementById("data").textContent);
const ALPHA = data.alpha, BETA = data.beta, P = data.p;

const $ = id => document.getElementById(id);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const sum = numbers => numbers.reduce((a, b) => a + b, 0);
document.documentElement.classList.add("script");

// A number on the page: four decimals to read, all digits as the value of its <data> element.
function show(within, key, value, text = value.toFixed(4)) {
  const element = within.querySelector(`data[data-key="${key}"]`);
  element.value = value;
  element.textContent = text.replace(/^-(?=[0.]*$)/, "").replace("-", "−");      // no -0.0000
}

function showRows(within, key, rows, decimals = 4) {
  rows.forEach((row, i) => row.forEach((value, j) => show(within, `${key}.${i}.${j}`, value, value.toFixed(decimals))));
}

// ---- the loss, in complex numbers [re, im] ------------------------------------------------------------------------------------

const plus = (a, b) => [a[0] + b[0], a[1] + b[1]];
const minus = (a, b) => [a[0] - b[0], a[1] - b[1]];
const times = (a, b) => [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]];
const scaled = (c, a) => [c * a[0], c * a[1]];
const exp = a => scaled(Math.exp(a[0]), [Math.cos(a[1]), Math.sin(a[1])]);
const log = a => [Math.log(Math.hypot(a[0], a[1])), Math.atan2(a[1], a[0])];
const total = list => list.reduce(plus, [0, 0]);
const xlogx = x => x > 0 ? x * Math.log(x) : 0;

function logSoftmax(row) {                         // log s_j = z_j - log sum_k exp z_k
  const top = [Math.max(...row.map(z => z[0])), 0];
  const shifted = row.map(z => minus(z, top));
  const normaliser = log(total(shifted.map(exp)));
  return shifted.map(z => minus(z, normaliser));
}

function losses(z, y) {                            // z: rows of complex numbers; y: rows of real numbers
  const N = z.length, logS = z.map(logSoftmax), s = logS.map(row => row.map(exp));
  const L_c = total(logS.flatMap((row, i) => row.map((value, j) => minus([xlogx(y[i][j]), 0], scaled(y[i][j], value)))));
  const L_p = total(P.map((p, j) => minus([xlogx(p), 0], scaled(p, log(scaled(1 / N, total(s.map(row => row[j]))))))));
  const L_e = total(s.flatMap((row, i) => row.map((value, j) => times(value, logS[i][j]))));
  const found = {L_c: scaled(1 / N, L_c), L_p, L_e: scaled(-1 / N, L_e)};
  found.L = total([found.L_c, scaled(ALPHA, found.L_p), scaled(BETA, found.L_e)]);
  return found;
}

const complex = rows => rows.map(row => row.map(x => [x, 0]));
const softmax = rows => complex(rows).map(row => logSoftmax(row).map(value => exp(value)[0]));

// ---- its gradients, by the formulas -------------------------------------------------------------------------------------------

function gradients(z, y, forget = false) {         // forget: the planted error, rho_i taken as 1
  const N = z.length, s = softmax(z), mean = P.map((_, j) => sum(s.map(row => row[j])) / N);
  const L_c = s.map((row, i) => row.map((value, j) => (value - y[i][j]) / N));
  const L_p = s.map(row => {
    const r = row.map((value, j) => P[j] * value / mean[j]), rho = forget ? 1 : sum(r);
    return row.map((value, j) => -(r[j] - value * rho) / N);
  });
  const L_e = s.map(row => {
    const negative = sum(row.map(xlogx));          // minus the entropy
    return row.map(value => -(xlogx(value) - value * negative) / N);
  });
  return {L_c, L_p, L_e, L: weighted([[1, L_c], [ALPHA, L_p], [BETA, L_e]])};
}

function weighted(parts) {                         // the sum of weight times rows
  return parts[0][1].map((row, i) => row.map((_, j) => sum(parts.map(([weight, rows]) => weight * rows[i][j]))));
}

// ---- the triangle -------------------------------------------------------------------------------------------------------------

const triangle = $("triangle"), picture = $("triangle-picture"), corners = data.triangle.corners;
const WEIGHTS = {L_c: 1, L_p: ALPHA, L_e: BETA};
let z, y;

function reset() {
  z = data.triangle.s.map(row => row.map(Math.log));
  y = data.triangle.labels.map(label => P.map((_, j) => Number(j === label)));
}

const place = s => [0, 1].map(axis => sum(s.map((value, j) => value * corners[j][axis])));
const moved = ([x, y]) => `translate(${x.toFixed(3)} ${y.toFixed(3)})`;
const isOn = term => triangle.querySelector(`[data-term="${term}"]`).checked;
const descent = () => weighted(Object.keys(WEIGHTS).map(term => [isOn(term) ? WEIGHTS[term] : 0, gradients(z, y)[term]]));

function motion(s, gradient) {                     // of one prediction, if its logits take the step -rate N times the gradient
  const step = gradient.map(g => -data.rate * z.length * g), mean = sum(s.map((value, j) => value * step[j]));
  return s.map((value, j) => value * (step[j] - mean));
}

function drawTriangle() {
  const s = softmax(z), found = gradients(z, y), gradient = descent(), terms = losses(complex(z), y);
  for (const arrow of all(".arrow", picture)) {
    const i = Number(arrow.dataset.i), term = arrow.classList[1];
    const g = term === "L" ? gradient[i] : found[term][i].map(value => WEIGHTS[term] * value);
    const ends = [place(s[i]), place(s[i].map((value, j) => value + motion(s[i], g)[j]))];
    arrow.setAttribute("d", ends.map(([x, y], k) => `${"ML"[k]}${x.toFixed(3)} ${y.toFixed(3)}`).join(""));
    const length = Math.hypot(ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]);
    arrow.classList.toggle("none", length < 1 || (term !== "L" && !isOn(term)));
  }
  for (const own of all(".own", picture)) {
    const i = Number(own.dataset.i), [x, height] = place(y[i]);
    own.setAttribute("transform", moved([x + 17 * (i - 1.5), height + (height > 200 ? 20 : -20)]));
  }
  for (const sample of all(".sample", picture)) {
    const own = s[sample.dataset.i];
    sample.setAttribute("transform", moved(place(own)));
    sample.setAttribute("aria-valuenow", Math.round(100 * Math.max(...own)));
    sample.setAttribute("aria-valuetext", own.map(value => value.toFixed(2)).join(", "));
  }
  $("mean").setAttribute("transform", moved(place(P.map((_, j) => sum(s.map(row => row[j])) / s.length))));
  for (const term of ["L_c", "L_p", "L_e"]) show(triangle, `${term}.0`, terms[term][0]);
  show(triangle, "L.0", sum(Object.keys(WEIGHTS).filter(isOn).map(term => WEIGHTS[term] * terms[term][0])));
  showRows(triangle, "s", s);
  showRows(triangle, "y", y);
  showRows(triangle, "g", gradient);
}

function put(i, x, height) {                       // a prediction at a point of the picture, or at the nearest inside
  const [[x1, y1], [x2, y2], [x3, y3]] = corners, area = (y2 - y3) * (x1 - x3) + (x3 - x2) * (y1 - y3);
  const a = ((y2 - y3) * (x - x3) + (x3 - x2) * (height - y3)) / area;
  const b = ((y3 - y1) * (x - x3) + (x1 - x3) * (height - y3)) / area;
  const inside = [a, b, 1 - a - b].map(value => Math.max(value, .004));
  z[i] = inside.map(value => Math.log(value / sum(inside)));
  drawTriangle();
}

function pointAt(event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
  return [point.x, point.y];
}

for (const sample of all(".sample", picture)) {
  const i = Number(sample.dataset.i);
  sample.addEventListener("pointerdown", event => {
    sample.setPointerCapture(event.pointerId);
    sample.focus({preventScroll: true});
    event.preventDefault();
  });
  sample.addEventListener("pointermove", event => {
    if (sample.hasPointerCapture(event.pointerId)) put(i, ...pointAt(event));
  });
  sample.addEventListener("keydown", event => {
    const way = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (!way) return;
    const [x, height] = place(softmax(z)[i]), far = event.shiftKey ? 1 : 8;
    put(i, x + far * way[0], height + far * way[1]);
    event.preventDefault();
  });
}
$("descend").addEventListener("click", () => {
  const gradient = descent();
  z = z.map((row, i) => row.map((value, j) => value - data.rate * z.length * gradient[i][j]));
  drawTriangle();
});
$("relabel").addEventListener("click", () => { y = softmax(z); drawTriangle(); });
$("reset").addEventListener("click", () => { reset(); drawTriangle(); });
all("[data-term]", triangle).forEach(box => box.addEventListener("change", drawTriangle));

// ---- the gradient check -------------------------------------------------------------------------------------------------------

const steps = $("steps"), batch = data.batch;

function slopes(term, h, method) {                 // dL/dz of the small batch, one coordinate at a time
  const at = (i, j, step) => {
    const z = complex(batch.z);
    z[i][j] = plus(z[i][j], step);
    return losses(z, batch.y)[term];
  };
  return batch.z.map((row, i) => row.map((_, j) => method === "complex" ? at(i, j, [0, h])[1] / h
    : (at(i, j, [h, 0])[0] - at(i, j, [-h, 0])[0]) / (2 * h)));
}

function errorOf(measured, formula) {              // in units of the norm of the formula
  const norm = rows => Math.hypot(...rows.flat());
  return norm(measured.map((row, i) => row.map((value, j) => value - formula[i][j]))) / norm(formula);
}

const across = exponent => data.axes.x[0] + (data.axes.x[1] - data.axes.x[0]) * (-1 - exponent) / 15;
const down = error => data.axes.y[0] - (data.axes.y[1] - data.axes.y[0]) * Math.max(-17, Math.min(0, Math.log10(error))) / 17;

function drawSteps() {
  const term = $("steps-term").value, chosen = data.exponents[$("steps-h").value], h = 10 ** chosen;
  const formula = gradients(batch.z, batch.y, $("steps-plant").checked)[term];
  showRows(steps, "formula", formula, 10);
  for (const method of ["central", "complex"]) {
    const measured = slopes(term, h, method), error = errorOf(measured, formula);
    const points = data.exponents.map(e => [across(e), down(errorOf(slopes(term, 10 ** e, method), formula))]);
    steps.querySelector(`polyline.${method}`).setAttribute("points", points.map(point => point.map(x => x.toFixed(1))).join(" "));
    $(`steps-${method}`).setAttribute("cx", across(chosen));
    $(`steps-${method}`).setAttribute("cy", down(error));
    showRows(steps, method, measured, 10);
    show(steps, `error.${method}.0`, error, error.toExponential(1));
  }
  $("steps-cursor").setAttribute("transform", `translate(${across(chosen)} 0)`);
  $("steps-value").textContent = h.toExponential(chosen % 1 ? 1 : 0);
  $("steps-h").setAttribute("aria-valuetext", $("steps-value").textContent);
}
for (const id of ["steps-h", "steps-term", "steps-plant"]) $(id).addEventListener("input", drawSteps);

// ---- the plane ----------------------------------------------------------------------------------------------------------------

const plane = $("plane"), N = data.x.length, TIME = 120;
let playing = null;

function region(runs, c) {                         // as region() of plots.py
  let path = "", at = 0;
  for (const [, letter, length] of runs.matchAll(/([abc])(\d+)/g)) {
    const end = at + Number(length);
    while (at < end) {
      const column = at % data.grid, row = Math.floor(at / data.grid), width = Math.min(end - at, data.grid - column);
      if (letter === "abc"[c]) path += `M${column} ${row}h${width}v1h-${width}z`;
      at += width;
    }
  }
  return path;
}

function dot([x, height], c, sure) {               // as dot() of plots.py
  const r = Number((2.4 + .3 * sure).toFixed(1)), d = Number((2 * r).toFixed(1)), [u, v] = [x, -height].map(toPixel);
  return `M${u} ${v}` + [`m-${r} 0a${r} ${r} 0 1 0 ${d} 0a${r} ${r} 0 1 0 -${d} 0z`,
    `m-${r} -${r}h${d}v${d}h-${d}z`, `m0 -${r}l${r} ${d}h-${d}z`][c];
}

const toPixel = x => Math.round(data.side * (x + data.edge) / (2 * data.edge));
const chosenRun = () => plane.querySelector("[name=run]:checked").value;

function drawPlane() {
  const name = chosenRun(), run = data.runs[name], epoch = Number($("epoch").value), labels = run.labels[epoch];
  all(".region", $("plane-drawn")).forEach((path, c) => path.setAttribute("d", region(run.regions[epoch], c)));
  all(".dots", $("plane-drawn")).forEach((path, k) => {
    const c = k % 3, wrong = k >= 3;
    path.setAttribute("d", data.x.map((point, i) => labels[i] === String(c) && (labels[i] !== data.truth[i]) === wrong
      ? dot(point, c, Number(run.certainty[epoch][i])) : "").join(""));
  });
  const correct = sum([...labels].map((label, i) => Number(label === data.truth[i]))) / N;
  const largest = Math.max(..."012".split("").map(c => labels.split(c).length - 1)) / N;
  const percent = fraction => `${Number((100 * fraction).toFixed(1))} %`;
  show(plane, "plane.correct", correct, percent(correct));
  show(plane, "plane.largest", largest, percent(largest));
  show(plane, "plane.entropy", epoch ? run.entropy[epoch - 1] : 0);
  $("epoch-value").textContent = epoch || "0, before the training";
  all("polyline", plane).forEach(line => line.classList.toggle("chosen", line.dataset.run === name));
  const x = 280 * Math.max(0, epoch - 1) / (run.entropy.length - 1);
  all(".cursor", plane).forEach(cursor => cursor.setAttribute("transform", `translate(${x} 0)`));
}

function stop() {
  clearInterval(playing);
  playing = null;
  $("play").textContent = "Play";
  $("plane-status").setAttribute("role", "status");
}

function play() {
  if (playing) return stop();
  if ($("epoch").value === $("epoch").max) $("epoch").value = 0;
  $("plane-status").removeAttribute("role");       // nobody wants to hear sixty epochs
  $("play").textContent = "Stop";
  playing = setInterval(() => {
    $("epoch").stepUp();
    drawPlane();
    if ($("epoch").value === $("epoch").max) stop();
  }, TIME);
}
$("play").addEventListener("click", play);
$("epoch").addEventListener("input", () => { stop(); drawPlane(); });
all("[name=run]", plane).forEach(button => button.addEventListener("change", drawPlane));

reset();
drawTriangle();
drawSteps();
drawPlane();
