"use strict";
// The review: a list of images that is drawn a part at a time, and decisions that this browser keeps for this run.
// The first `doubted` rows of the data's columns are suspicious images, the others have the given label suggested.
const data = JSON.parse(document.getElementById("data").textContent);
const PART = 60;                                   // cards drawn at a time
const KEY = "label decisions of run " + data.key;
const COLUMNS = ["index", "path", "decision", "label", "run"];
const DONE = {accept: "accepted: ", reject: "rejected, stays ", change: "changed to ", remove: "removed"};
// Apostrophes between a possible beginning of a cell and what a spreadsheet runs: core/data/csv_cells.py.
const FORMULA = /(?<![^;\t\r\n])'*(?=[=+\-@\uff0b\uff0d\uff1d\uff20\t\r\n])/g;

const $ = id => document.getElementById(id);
const [list, filters, chooser, viewer] = [$("list"), $("filters"), $("chooser"), $("viewer")];
const doubted = data.suggested.length;
data.suggested = data.suggested.concat(data.given.slice(doubted));
data.probability = data.probability.concat(data.score.slice(doubted));
const position = new Map(data.index.map((index, i) => [index, i]));      // image -> its place in data's columns
const pictures = new Map([...document.querySelectorAll("[data-index]")].map(    // those that the page has with the pairs
  item => [Number(item.dataset.index), item.querySelector("img").src]));
const CLEARED = KEY + ", cleared";                 // what undo brings back after the page was closed, too
let decisions = {};                                // index: [decision, label, path]
let undone = [];                                   // what to put back: [[index, former decision or undefined], ...] for each step
let shown = [], fits = () => true, drawn = 0, active = null, kept = true;
const cards = new Map();                           // image -> its card, if that is drawn

// ---- decisions and their keeping ----------------------------------------------------------------------------------------------

function load() {
  try {
    decisions = JSON.parse(localStorage.getItem(KEY) || "{}");
    const cleared = Object.entries(JSON.parse(localStorage.getItem(CLEARED) || "{}"));
    const none = !undone.length && !Object.keys(decisions).length;
    if (none && cleared.length) undone.push(cleared.map(([index, made]) => [Number(index), made]));
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
  return [data.index[row], [kind, name, pathOf(row)]];
}

function decide(card, kind, label) {
  if (kind === "change" && label === undefined) return choose(card);
  if (kind === "change" && label === data.classes[data.suggested[card.row]]) kind = "accept";
  if (kind === "change" && label === data.classes[data.given[card.row]]) kind = "reject";
  if (kind === "reject" && card.row >= doubted) kind = "accept";         // both keep the given label
  const entry = verdict(card.row, kind, label);
  record([entry], `${nameOf(card.row)}: ${DONE[kind]}${entry[1][1]}`);
}

// ---- the list -----------------------------------------------------------------------------------------------------------------

function select() {                                // the rows that pass the filters, in their order
  const {kind, find, given, suggested, state, low, high, order} = Object.fromEntries(new FormData(filters));
  const [column, sign] = [data[order.replace("-", "")], order[0] === "-" ? -1 : 1];
  const text = find.toLowerCase();
  fits = row => {
    const made = decisions[data.index[row]];
    return (kind === "all" || (row < doubted) === (kind === "")) &&
      (given === "" || data.given[row] === Number(given)) && (suggested === "" || data.suggested[row] === Number(suggested)) &&
      (state === "" || (state === "open" ? !made : state === "decided" ? made : made && made[0] === state)) &&
      data.score[row] >= Number(low || 0) && data.score[row] <= (high === "" ? 1 : Number(high)) &&
      (text === "" || nameOf(row).toLowerCase().includes(text));
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

function pathOf(row) {
  return data.names ? data.folders[data.names[row][0]] + data.names[row][1] : "";
}

function nameOf(row) {
  return pathOf(row) || "image " + data.index[row];
}

function linkOf(row) {                             // the address of the file, or null
  if (data.root === null || location.protocol !== "file:") return null;            // a page from a server may not open files
  const path = pathOf(row);
  const parts = path.split("/").map(encodeURIComponent).join("/").replace(/^([A-Za-z])%3A/, "/$1:");
  return /^(\/|[A-Za-z]:)/.test(path) ? "file://" + parts : data.root + "/" + parts;
}

function imageOf(row) {                            // as text, undefined where the page has none
  return data.images[row] || pictures.get(data.index[row]);
}

function cardOf(row) {
  const card = $("card").content.firstElementChild.cloneNode(true);
  const texts = {
    "name a": nameOf(row).split("/").at(-1), given: data.classes[data.given[row]], suggested: data.classes[data.suggested[row]],
    score: percent(data.score[row]), probability: percent(data.probability[row]), true: truth(row),
  };
  for (const [name, text] of Object.entries(texts)) card.querySelector("." + name).textContent = text;
  const [image, source, link] = [card.querySelector("img"), imageOf(row), linkOf(row)];
  if (source) image.src = source;
  image.hidden = !source;
  card.querySelector(".missing").hidden = Boolean(source);
  image.alt = `${nameOf(row)}, given ${texts.given}` + (row < doubted ? `, suggested ${texts.suggested}, probability ${texts.probability}` : "");
  if (link) card.querySelector(".name a").href = link;
  card.querySelector(".name").title = nameOf(row);
  if (data.sizes[row]) card.querySelector(".photo").append(square(...data.sizes[row]));
  card.querySelector(".suggestion").hidden = card.querySelector("[data-do=reject]").hidden = row >= doubted;
  card.row = row;
  cards.set(data.index[row], card);
  paint(card);
  return card;
}

function truth(row) {
  return data.truth && data.truth[row] >= 0 ? "true label: " + data.classes[data.truth[row]] : "";
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
  }
  if (card !== active) for (const element of card.querySelectorAll("button, a")) element.tabIndex = -1;
}

function activate(card) {                          // the one card that the Tab key reaches, with its buttons
  for (const item of [active, card]) {
    if (item) for (const element of [item, ...item.querySelectorAll("button, a")]) element.tabIndex = item === card ? 0 : -1;
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

function counted(number, one, many) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

function report(words) {
  const indices = Object.keys(decisions).map(Number);
  const made = indices.length, others = indices.filter(index => position.get(index) >= doubted).length;
  const still = shown.filter(fits).length;         // a decision may take an image out of the filter; its card stays
  const found = still === shown.length ? counted(still, "image matches", "images match") :
    `${counted(shown.length, "image", "images")} shown, ${still.toLocaleString("en")} still ${still === 1 ? "matches" : "match"}`;
  $("status").textContent = (words ? words + ". " : "") + found + "." +
    (kept ? "" : " This browser keeps no decisions: export them before you leave.");
  $("progress").textContent = [`${(made - others).toLocaleString("en")} of ${doubted.toLocaleString("en")} decided`,
    others ? counted(others, "other", "others") : ""].slice(doubted ? 0 : 1).filter(Boolean).join(", and ");
  $("undo").disabled = !undone.length;
  $("export").disabled = $("clear").disabled = !made;
  const open = shown.filter(row => !decisions[data.index[row]]).length;
  for (const button of document.querySelectorAll("[data-bulk]")) {
    const verb = {accept: "Accept", reject: "Reject"}[button.dataset.bulk];
    button.textContent = open === 1 ? `${verb} the one undecided` : `${verb} all ${open.toLocaleString("en")} undecided`;
    button.disabled = !open;
  }
}

