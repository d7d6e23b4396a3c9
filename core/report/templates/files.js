// ---- files --------------------------------------------------------------------------------------------------------------------

function cell(value) {
  if (typeof value === "number") return String(value);
  return '"' + value.replace(FORMULA, "'$&").replaceAll('"', '""') + '"';
}

function table() {
  const rows = Object.keys(decisions).map(Number).sort((a, b) => a - b).map(index => {
    const [kind, label, path] = decisions[index];
    return [index, path, kind, label, data.run].map(cell);
  });
  return [COLUMNS, ...rows].map(row => row.join(",") + "\r\n").join("");
}

function cells(text) {                             // rows of a CSV file, as a spreadsheet of any country has saved it
  const rows = [[]], plain = text.replace(/^\ufeff/, ""), head = plain.split("\n", 1)[0];
  const comma = [",", ";", "\t"].sort((a, b) => head.split(b).length - head.split(a).length)[0];
  const pattern = RegExp(`(?:"((?:[^"]|"")*)"|([^"${comma}\\r\\n]*))(${comma}|\\r?\\n|$)`, "g");
  for (const [, quoted, bare, end] of plain.matchAll(pattern)) {
    rows.at(-1).push(quoted === undefined ? bare : quoted.replaceAll('""', '"'));
    if (end !== comma) rows.push([]);
  }
  return rows.filter(row => row.some(Boolean)).map(row => row.map(value => value.replace(FORMULA, quotes => quotes.slice(1))));
}

function imported(text) {                          // entries of a file of decisions; an Error says what is wrong with it
  const [head, ...rows] = cells(text);
  const needed = COLUMNS.slice(0, 4);
  if (!head || needed.some((name, i) => (head[i] || "").toLowerCase() !== name)) throw Error("its first line is not " + needed.join());
  return rows.map(([index, path = "", written = "", label = "", run], i) => {
    const kind = written.trim().toLowerCase();
    const row = position.get(Number(index));
    if (run && run !== data.run) throw Error(`row ${i + 1} belongs to another run`);
    if (!/^\d+$/.test(index) || !Object.hasOwn(DONE, kind)) throw Error(`row ${i + 1} has no known decision`);
    if ((kind === "change" || label) && kind !== "remove" && !data.classes.includes(label)) throw Error(`row ${i + 1}: ${label} is no class of this run`);
    if (row === undefined) return [Number(index), [kind, label, path]];
    if (data.names && path && path !== pathOf(row)) throw Error(`row ${i + 1}: ${path} is not image ${index} of this run`);
    return verdict(row, kind, label);
  });
}

function folderOf(address) {                       // of a page on this disk, as a shell takes it; null on another machine's, or where its name is no text
  const {host, pathname} = new URL(address), found = pathname.replace(/\/[^/]*$/, "");
  let path;
  try { path = decodeURIComponent(found); } catch { return null; }
  if (host) return null;
  if (/^\/[A-Za-z]:/.test(path)) return `"${path.slice(1)}"`;                      // Windows
  return /^[\w/.,:@%+=-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
