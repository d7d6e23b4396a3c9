// ---- an image in large --------------------------------------------------------------------------------------------------------

function square(width, height, drawing = viewer.querySelector("svg").cloneNode(true)) {        // what the network saw of a photo
  const [side, mark] = [Math.min(width, height), drawing.querySelector("rect")];
  const place = {x: (width - side) / 2, y: (height - side) / 2, width: side, height: side};
  drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
  drawing.toggleAttribute("hidden", width === height);
  for (const [name, value] of Object.entries(place)) mark.setAttribute(name, value);
  return drawing;
}

function look(row, card) {                         // an image in large: from its file if that is there, else as on the page
  const [image, mark, link] = [viewer.querySelector("img"), viewer.querySelector("svg"), linkOf(row)];
  if (imageOf(row)) image.src = imageOf(row);
  else image.removeAttribute("src");
  image.alt = nameOf(row);
  const full = new Image();
  full.addEventListener("load", () => { if (viewer.row === row) image.src = full.src; });
  viewer.row = row;
  viewer.card = card;
  for (const button of viewer.querySelectorAll("[data-key]")) button.hidden = !card || (button.dataset.key === "r" && row >= doubted);
  mark.setAttribute("hidden", "");
  if (link) full.src = link;
  $("viewer-name").textContent = nameOf(row);
  $("viewer-labels").textContent = [`given: ${data.classes[data.given[row]]} (${percent(data.score[row])})`,
    row < doubted ? `suggested: ${data.classes[data.suggested[row]]} (${percent(data.probability[row])})` : "",
    truth(row), decided(row)].filter(Boolean).join(", ");
  $("viewer-link").hidden = !link;
  if (link) $("viewer-link").href = link;
  if (viewer.open) return;
  viewer.showModal();
  viewer.focus();                                  // not the link: Enter would leave the page
}

function decided(row) {
  const made = decisions[data.index[row]];
  return made ? DONE[made[0]] + made[1] : "";
}

viewer.querySelector("img").addEventListener("load", event => {
  const {naturalWidth: width, naturalHeight: height} = event.target;
  square(width, height, viewer.querySelector("svg"));
});
viewer.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (button && button.dataset.key) viewed(button.dataset.key);
  else if (button || event.target === viewer) viewer.close();
});
viewer.addEventListener("close", () => move(viewer.card));      // the browser goes back to the card where it was opened
viewer.addEventListener("keydown", event => {
  const key = keyOf(event);
  if (key === "z") viewer.close();
  else if (!viewer.card || !viewed(key)) return;
  event.preventDefault();
});

function viewed(key) {                             // the keys of the list, for the image that is shown in large
  const known = pressed(key, viewer.card);
  if (known && !chooser.open) look(active.row, active);
  return known;
}

