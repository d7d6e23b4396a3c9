"use strict";
// The review: a list of suspicious images that is drawn a part at a time, and decisions that this browser keeps for this run.
const data = JSON.parse(document.getElementById("data").textContent);
const PART = 60;                                   // cards drawn at a time
const KEY = "label decisions of run " + data.run;
const COLUMNS = ["index", "path", "decision", "label", "run"];
const DONE = {accept: "accepted: ", reject: "rejected, stays ", change: "changed to ", remove: "removed"};
const FORMULA = /^'*[=+\-@\uff0b\uff0d\uff1d\uff20\t\r\n]/;  // what a spreadsheet would run

const $ = id => document.getElementById(id);
const [list, filters, chooser] = [$("list"), $("filters"), $("chooser")];
const position = new Map(data.index.map((index, i) => [index, i]));      // image -> its place in data's columns
const pictures = new Map([...document.querySelectorAll("[data-index]")].map(    // those that the page has with the pairs
  item => [Number(item.dataset.index), item.querySelector("img").src]));
let decisions = {};                                // index: [decision, label, path]
let undone = [];                                   // what to put back: [[index, former decision or undefined], ...] for each step
let shown = [], drawn = 0, active = null, kept = true;
const cards = new Map();                           // image -> its card, if that is drawn

// ---- decisions and their keeping ----------------------------------------------------------------------------------------------

function load() {
  try {
    decisions = JSON.parse(localStorage.getItem(KEY) || "{}");
  } catch {
    kept = false;
  }
}

function save() {
  try {
    localStorage.setItem(KEY, JSON.stringify(decisions));
    kept = true;
  } catch {
    kept = false;
  }
}

function record(entries, words) {                  // entries: [index, decision or undefined]
  undone.push(entries.map(([index]) => [index, decisions[index]]));
  put(entries, words);
}

function put(entries, words) {
  for (const [index, decision] of entries) {
    if (decision) decisions[index] = decision;
    else delete decisions[index];
  }
  save();
  for (const [index] of entries) {
    const card = cards.get(index);
    if (card) paint(card);
  }
  report(words);
}

function undo() {
  const entries = undone.pop();
  if (!entries) return;
  put(entries, entries.length === 1 ? `image ${entries[0][0]}: decision undone` : `${entries.length} decisions undone`);
  if (entries.length === 1) move(cards.get(entries[0][0]));
}

function verdict(row, kind, label) {               // what is kept of a decision
  const name = {accept: data.classes[data.suggested[row]], reject: data.classes[data.given[row]], change: label, remove: ""}[kind];
  return [data.index[row], [kind, name, data.path ? data.path[row] : ""]];
}

function decide(card, kind, label) {
  if (kind === "change" && label === undefined) return choose(card);
  if (kind === "change" && label === data.classes[data.suggested[card.row]]) kind = "accept";
  if (kind === "change" && label === data.classes[data.given[card.row]]) kind = "reject";
  const entry = verdict(card.row, kind, label);
  record([entry], `${nameOf(card.row)}: ${DONE[kind]}${entry[1][1]}`);
}

// ---- the list -----------------------------------------------------------------------------------------------------------------

function select() {                                // the rows that pass the filters, in their order
  const {given, suggested, state, low, high, order} = Object.fromEntries(new FormData(filters));
  const [column, sign] = [data[order.replace("-", "")], order[0] === "-" ? -1 : 1];
  const fits = row => {
    const made = decisions[data.index[row]];
    return (given === "" || data.given[row] === Number(given)) && (suggested === "" || data.suggested[row] === Number(suggested)) &&
      (state === "" || (state === "open" ? !made : state === "decided" ? made : made && made[0] === state)) &&
      data.score[row] >= Number(low || 0) && data.score[row] <= (high === "" ? 1 : Number(high));
  };
  shown = [...data.index.keys()].filter(fits).sort((a, b) => sign * (column[a] - column[b]) || a - b);
  list.replaceChildren();
  cards.clear();
  drawn = 0;
  active = null;
  draw();
  report();
}

function draw() {
  const part = shown.slice(drawn, drawn + PART).map(cardOf);
  list.append(...part);
  drawn += part.length;
  if (!active && part.length) activate(part[0]);
  $("more").hidden = drawn >= shown.length;
}

function nameOf(row) {
  return data.path ? data.path[row] : "image " + data.index[row];
}

function cardOf(row) {
  const card = $("card").content.firstElementChild.cloneNode(true);
  const texts = {
    name: nameOf(row), given: data.classes[data.given[row]], suggested: data.classes[data.suggested[row]],
    score: percent(data.score[row]), probability: percent(data.probability[row]),
    true: data.truth && data.truth[row] >= 0 ? "true label: " + data.classes[data.truth[row]] : "",
  };
  for (const [name, text] of Object.entries(texts)) card.querySelector("." + name).textContent = text;
  const image = card.querySelector("img");
  image.src = data.image[row] || pictures.get(data.index[row]);
  image.alt = `${texts.name}, given ${texts.given}, suggested ${texts.suggested}, probability ${texts.probability}`;
  card.row = row;
  cards.set(data.index[row], card);
  paint(card);
  return card;
}

function paint(card) {                             // its decision
  const made = decisions[data.index[card.row]];
  if (card.painted === (made || null)) return;
  card.painted = made || null;
  if (made) card.dataset.decision = made[0];
  else delete card.dataset.decision;
  const words = made ? DONE[made[0]] + made[1] : "";
  card.querySelector(".verdict").textContent = words;
  card.setAttribute("aria-label", `${card.querySelector("img").alt}, ${words || "undecided"}`);
  for (const button of card.querySelectorAll("[data-do]")) {
    button.setAttribute("aria-pressed", String(Boolean(made) && made[0] === button.dataset.do));
    if (card !== active) button.tabIndex = -1;
  }
}

function activate(card) {                          // the one card that the Tab key reaches, with its buttons
  for (const item of [active, card]) {
    if (item) for (const element of [item, ...item.querySelectorAll("button")]) element.tabIndex = item === card ? 0 : -1;
  }
  active = card;
}

function move(card) {
  if (!card) return;
  activate(card);
  card.focus({preventScroll: true});
  card.scrollIntoView({block: "nearest"});
}

function neighbour(card, steps) {
  const place = [...list.children].indexOf(card) + steps;
  while (place >= drawn && drawn < shown.length) draw();
  return list.children[Math.max(0, Math.min(place, drawn - 1))];
}

function columns() {                               // cards side by side
  return getComputedStyle(list).gridTemplateColumns.split(" ").length;
}

// ---- words --------------------------------------------------------------------------------------------------------------------

function percent(value) {
  return `${Math.round(100 * value)}\u00a0%`;
}

function report(words) {
  const made = Object.keys(decisions).length;
  $("status").textContent = (words ? words + ". " : "") + `${shown.length.toLocaleString("en")} images match.` +
    (kept ? "" : " This browser keeps no decisions: export them before you leave.");
  $("progress").textContent = `${made.toLocaleString("en")} of ${data.index.length.toLocaleString("en")} decided`;
  $("undo").disabled = !undone.length;
  $("export").disabled = $("clear").disabled = !made;
  const open = shown.filter(row => !decisions[data.index[row]]).length;
  for (const button of document.querySelectorAll("[data-bulk]")) {
    const verb = {accept: "Accept", reject: "Reject"}[button.dataset.bulk];
    button.textContent = `${verb} all ${open.toLocaleString("en")} undecided`;
    button.disabled = !open;
  }
}

// ---- files --------------------------------------------------------------------------------------------------------------------

function cell(value) {
  const text = FORMULA.test(value) ? "'" + value : String(value);
  return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

function table() {
  const rows = Object.keys(decisions).map(Number).sort((a, b) => a - b).map(index => {
    const [kind, label, path] = decisions[index];
    return [index, path, kind, label, data.run];
  });
  return [COLUMNS, ...rows].map(row => row.map(cell).join(",") + "\r\n").join("");
}

function cells(text) {                             // rows of a CSV file
  const rows = [[]];
  const pattern = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g;
  for (const [, quoted, bare, end] of text.replace(/^\ufeff/, "").matchAll(pattern)) {
    rows.at(-1).push(quoted === undefined ? bare : quoted.replaceAll('""', '"'));
    if (end !== ",") rows.push([]);
  }
  return rows.filter(row => row.some(Boolean)).map(row => row.map(value => FORMULA.test(value) ? value.replace(/^'/, "") : value));
}

function imported(text) {                          // entries of a file of decisions; an Error says what is wrong with it
  const [head, ...rows] = cells(text);
  const needed = COLUMNS.slice(0, 4);
  if (!head || needed.some((name, i) => head[i] !== name)) throw Error("its first line is not " + needed.join());
  return rows.map(([index, path, kind, label, run], i) => {
    const row = position.get(Number(index));
    if (run && run !== data.run) throw Error(`row ${i + 1} belongs to another run`);
    if (!/^\d+$/.test(index) || !Object.hasOwn(DONE, kind)) throw Error(`row ${i + 1} has no known decision`);
    if (kind !== "remove" && !data.classes.includes(label)) throw Error(`row ${i + 1}: ${label} is no class of this run`);
    if (row === undefined) return [Number(index), [kind, label, path]];
    if (data.path && path && path !== data.path[row]) throw Error(`row ${i + 1}: ${path} is not image ${index} of this run`);
    return verdict(row, kind, label);
  });
}

// ---- events -------------------------------------------------------------------------------------------------------------------

function choose(card) {
  chooser.card = card;
  chooser.querySelector("input").value = "";
  find("");
  chooser.showModal();
}

function find(text) {
  for (const button of chooser.querySelectorAll("[data-class]")) {
    button.hidden = !button.textContent.toLowerCase().includes(text.toLowerCase());
  }
}

chooser.querySelector("input").addEventListener("input", event => find(event.target.value));
chooser.addEventListener("keydown", event => {
  const first = chooser.querySelector("[data-class]:not([hidden])");
  if (event.key === "Enter" && event.target.matches("input") && first) first.click();
});
chooser.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  chooser.close();
  if (button.dataset.class) decide(chooser.card, "change", data.classes[button.dataset.class]);
  move(chooser.card);
});

list.addEventListener("focusin", event => activate(event.target.closest(".card")));
list.addEventListener("click", event => {
  const [card, button] = [event.target.closest(".card"), event.target.closest("[data-do]")];
  if (button) decide(card, button.dataset.do);
  else if (card) move(card);
});
list.addEventListener("keydown", event => {
  const card = event.target.closest(".card");
  if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
  const steps = {ArrowRight: () => 1, ArrowLeft: () => -1, ArrowDown: columns, ArrowUp: () => -columns(), Home: () => -drawn,
    End: () => drawn}[event.key];
  const kind = {a: "accept", r: "reject", c: "change", x: "remove", Delete: "remove"}[event.key];
  const label = data.classes.length <= 10 && /^\d$/.test(event.key) ? data.classes[event.key] : undefined;
  if (steps) move(neighbour(card, steps()));
  else if (event.key === "u") undo();
  else if (kind === "change") choose(card);
  else if (kind || label !== undefined) {
    decide(card, kind || "change", label);
    move(neighbour(card, 1));
  } else return;
  event.preventDefault();
});

document.addEventListener("click", event => {      // the matrix and the pairs lead to their images
  const link = event.target.closest("a[data-given]");
  if (!link) return;
  event.preventDefault();
  filters.reset();
  filters.elements.given.value = link.dataset.given;
  filters.elements.suggested.value = link.dataset.suggested;
  select();
  $("review").scrollIntoView();
  if (active) active.focus({preventScroll: true});
});

for (const button of document.querySelectorAll("[data-bulk]")) {
  button.addEventListener("click", () => {
    const rows = shown.filter(row => !decisions[data.index[row]]);
    record(rows.map(row => verdict(row, button.dataset.bulk)), `${rows.length} images ${button.dataset.bulk}ed`);
  });
}
filters.addEventListener("input", select);
$("all").addEventListener("click", () => { filters.reset(); select(); });
filters.addEventListener("submit", event => event.preventDefault());
$("more").addEventListener("click", () => { const next = drawn; draw(); move(list.children[next]); });
new IntersectionObserver(seen => { if (seen[0].isIntersecting && drawn) draw(); }, {rootMargin: "600px"}).observe($("more"));
$("undo").addEventListener("click", undo);
$("clear").addEventListener("click", () => {
  const indices = Object.keys(decisions).map(Number);
  record(indices.map(index => [index, undefined]), `${indices.length} decisions cleared, undo brings them back`);
});
$("export").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table()], {type: "text/csv"}));
  link.download = "decisions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});
$("import").addEventListener("change", async event => {
  const file = event.target.files[0];
  if (!file) return;
  try {
    const entries = imported(await file.text());
    record(entries, `${entries.length} decisions imported from ${file.name}`);
  } catch (error) {
    report(`Nothing imported from ${file.name}: ${error.message}`);
  }
  event.target.value = "";
});
addEventListener("storage", event => {             // another window with this run
  if (event.key === KEY) { load(); cards.forEach(paint); report(); }
});

load();
$("desk").hidden = false;
select();
