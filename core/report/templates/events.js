// ---- events -------------------------------------------------------------------------------------------------------------------

function choose(card) {
  chooser.card = card;
  chooser.querySelector("input").value = "";
  narrow("");
  chooser.showModal();
  if (matchMedia("(hover: none)").matches) chooser.querySelector("[data-class]").focus();      // no keyboard over the classes
}

function narrow(text) {
  for (const button of chooser.querySelectorAll("[data-class]")) {
    button.hidden = !button.textContent.toLowerCase().includes(text.toLowerCase());
  }
}

chooser.querySelector("input").addEventListener("input", event => narrow(event.target.value));
chooser.addEventListener("keydown", event => {
  const first = chooser.querySelector("[data-class]:not([hidden])");
  if (event.key === "Enter" && event.target.matches("input") && first) first.click();
});
chooser.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  chooser.close();
  if (button.dataset.class) decide(chooser.card, "change", data.classes[button.dataset.class]);
  if (viewer.open) look(chooser.card.row, chooser.card);
  move(chooser.card);
});

list.addEventListener("focusin", event => activate(event.target.closest(".card")));
list.addEventListener("click", event => {
  const [card, button] = [event.target.closest(".card"), event.target.closest("[data-do]")];
  if (button) decide(card, button.dataset.do);
  else if (event.target.closest("[data-zoom]")) look(card.row, card);
  else if (card && !event.target.closest("a")) move(card);
});
list.addEventListener("keydown", event => {
  const card = event.target.closest(".card");
  if (card && pressed(keyOf(event), card)) event.preventDefault();
});

function keyOf(event) {                            // as printed on a keyboard: with Caps Lock and in any alphabet, too
  if (event.ctrlKey || event.metaKey || event.altKey) return "";
  const place = /^(?:Key|Digit)(.)$/.exec(event.code || "");
  const plain = event.key.length !== 1 || /^[\da-z]$/i.test(event.key);
  if (event.key === "Enter" && !event.target.matches(".card")) return "";             // a button or a link has it
  return plain || !place ? (event.key.length === 1 ? event.key.toLowerCase() : event.key) : place[1].toLowerCase();
}

function pressed(key, card) {                      // whether the key means something for a card
  const steps = {ArrowRight: () => 1, ArrowLeft: () => -1, ArrowDown: columns, ArrowUp: () => -columns(), Home: () => -drawn,
    End: () => drawn}[key];
  const kind = {a: "accept", r: "reject", c: "change", x: "remove", Delete: "remove"}[key];
  const label = data.classes.length <= 10 && /^\d$/.test(key) ? data.classes[key] : undefined;
  if (steps) move(neighbour(card, steps()));
  else if (key === "u") undo();
  else if (key === "z" || key === "Enter") look(card.row, card);
  else if (kind === "change") choose(card);
  else if (kind || label !== undefined) {
    decide(card, kind || "change", label);
    move(neighbour(card, 1));
  } else return false;
  return true;
}

document.addEventListener("click", event => {      // a picture of a pair
  const photo = event.target.closest("#pairs .photo");
  const row = photo && position.get(Number(photo.closest("[data-index]").dataset.index));
  if (!photo || row === undefined || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  look(row, null);
});
document.addEventListener("click", event => {      // the matrix and the pairs lead to their images
  const link = event.target.closest("a[data-given]");
  if (!link) return;
  event.preventDefault();
  filters.reset();
  begin();
  filters.elements.given.value = link.dataset.given;
  filters.elements.suggested.value = link.dataset.suggested;
  select();
  $("review").scrollIntoView();
  if (active) active.focus({preventScroll: true});
});

for (const button of document.querySelectorAll("[data-bulk]")) {
  button.addEventListener("click", () => {
    const rows = shown.filter(row => !decisions[data.index[row]]);
    record(rows.map(row => verdict(row, button.dataset.bulk)), `${counted(rows.length, "image", "images")} ${button.dataset.bulk}ed`);
  });
}
filters.addEventListener("input", select);
$("all").addEventListener("click", () => { filters.reset(); select(); });
filters.addEventListener("submit", event => event.preventDefault());
$("more").addEventListener("click", () => { const next = drawn; draw(); move(list.children[next]); });
new IntersectionObserver(seen => { if (seen[0].isIntersecting && drawn) draw(); }, {rootMargin: "600px"}).observe($("more"));
$("undo").addEventListener("click", undo);
$("clear").addEventListener("click", () => {
  try {
    localStorage.setItem(CLEARED, JSON.stringify(decisions));
  } catch {}                                       // then undo brings them back while the page is open
  const indices = Object.keys(decisions).map(Number);
  record(indices.map(index => [index, undefined]), `${counted(indices.length, "decision", "decisions")} cleared, undo brings them back`);
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
    record(entries, `${counted(entries.length, "decision", "decisions")} imported from ${file.name}`);
  } catch (error) {
    report(`Nothing imported from ${file.name}: ${error.message}`);
  }
  event.target.value = "";
});
addEventListener("storage", event => {             // another window with this run
  if (event.key === KEY) { load(); cards.forEach(paint); report(); }
});

const wide = matchMedia("(min-width: 40rem)");
function fold() {                                  // on a phone the filters would fill the first screen
  $("filterbox").open = wide.matches;
}
wide.addEventListener("change", fold);

const parts = [$("filterbox"), $("status"), $("bar"), list, ...document.querySelectorAll(".bulk, .keys")];
function begin() {                                 // the list; where nothing is suspicious a button brings it
  $("nothing").hidden = true;
  for (const part of parts) part.hidden = false;
}
$("anyway").addEventListener("click", () => { begin(); filters.elements.kind.value = "all"; select(); });

load();
fold();
$("desk").hidden = false;
if (!doubted && Object.keys(decisions).length) filters.elements.kind.value = "all";
else if (!doubted) {
  $("nothing").hidden = false;
  for (const part of parts) part.hidden = true;
}
if (location.protocol === "file:") $("folder").textContent = folderOf(location.href) ?? $("folder").textContent;
else for (const photo of document.querySelectorAll("#pairs a.photo")) photo.removeAttribute("href");
select();
