"use strict";
// What HTML cannot do: copy a command, turn a grid to other axes, look into a cell. All text is set
// as text, never as markup. Without this script the page has the same facts.

const SIGNS = { differs: "✗", holds: "✓", excused: "~", "not run": "·" }; // the heaviest first

const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
};

const copied = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { // a browser that keeps the clipboard from files
    const area = make("textarea", { "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
};

document.addEventListener("click", async (event) => {
  const button = event.target.closest(".command button");
  if (!button) return;
  const shown = button.previousElementSibling;
  const done = await copied(shown.textContent);
  if (!done) getSelection().selectAllChildren(shown);
  button.textContent = done ? "Copied" : "Selected";
  button.focus();
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

const code = (text) => // broken after a comma and not within an option
  make("code", {}, ...text.split(/(?<!\S)(--[\w-]+)/).flatMap((part) => part.startsWith("--")
    ? [make("span", { class: "word" }, part)]
    : part.split(/(?<=,)/).flatMap((piece) => piece.endsWith(",") ? [piece, make("wbr")] : [piece])));

const command = (text, about) =>
  make("div", { class: "command" }, code(text),
    make("button", { type: "button", "aria-label": `Copy ${about}` }, "Copy"));

const counted = (cases) => Object.keys(SIGNS)
  .map((outcome) => [cases.filter((c) => c[2] === outcome).length, outcome])
  .filter(([count]) => count)
  .map(([count, outcome]) => `${count} ${outcome}`)
  .join(", ");

class Grid {
  constructor(root) {
    this.root = root;
    this.data = JSON.parse(root.querySelector("script").textContent);
    this.selects = [...root.querySelectorAll("select")];
    this.axes = this.selects.map((s) => Number(s.value));
    for (const select of this.selects) {
      select.addEventListener("change", () => this.turn(select));
    }
    root.querySelector(".axes").hidden = this.selects.length < 2;
    this.table = root.querySelector("table");
    this.table.setAttribute("role", "grid");
    this.table.addEventListener("click", (event) => this.choose(event.target.closest("tbody td")));
    this.table.addEventListener("keydown", (event) => this.move(event));
    this.draw();
  }

  turn(changed) {
    const [at, other] = changed === this.selects[0] ? [0, 1] : [1, 0];
    const before = this.axes[at];
    this.axes[at] = Number(changed.value);
    if (this.axes[other] === this.axes[at]) {
      this.axes[other] = before;
      this.selects[other].value = before;
    }
    this.draw();
  }

  draw() {
    const [x, y] = this.axes;
    const { axes, cases } = this.data;
    const across = axes[x], down = y === undefined ? { name: "", bins: [""] } : axes[y];
    const corner = make("td", {}, ...(down.name ? [`${down.name} ↓`, make("br")] : []), `${across.name} →`);
    const head = make("tr", {}, corner);
    for (const bin of across.bins) {
      const length = bin.length > 8 ? "long" : bin.length > 3 ? "medium" : undefined;
      head.append(make("th", { scope: "col", class: length }, make("span", {}, bin)));
    }
    const places = {};
    for (const c of cases) (places[`${c[1][x]} ${c[1][y] ?? 0}`] ??= []).push(c);
    const body = make("tbody");
    down.bins.forEach((bin, row) => {
      const line = make("tr", {}, make("th", { scope: "row" }, bin));
      across.bins.forEach((other, column) => {
        const inside = places[`${column} ${row}`] ?? [];
        const shown = Object.keys(SIGNS).find((o) => inside.some((c) => c[2] === o));
        const cell = make("td", { tabindex: -1, class: shown && "cell", "data-outcome": shown });
        if (shown) cell.append(make("span", { "aria-hidden": "true" }, SIGNS[shown]));
        cell.append(make("span", { class: "spoken" }, counted(inside) || "no case"));
        cell.cases = inside;
        cell.place = [[across.name, other], [down.name, bin]]
          .filter(([name]) => name).map((pair) => pair.join(" ")).join(", ");
        line.append(cell);
      });
      body.append(line);
    });
    const caption = make("caption", {}, `cases by ${across.name}${down.name ? ` and ${down.name}` : ""}`,
      make("span", { class: "hint" }, "; choose a cell to see them (arrow keys, Enter)"));
    this.table.replaceChildren(caption, make("thead", {}, head), body);
    const cells = [...body.querySelectorAll("td")];
    (cells.find((c) => c.dataset.outcome === "differs") ?? cells[0]).tabIndex = 0;
    this.root.querySelector(".chosen").replaceChildren();
  }

  move(event) {
    const cell = event.target.closest("tbody td");
    if (!cell) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.choose(cell);
      return;
    }
    const row = cell.parentElement, column = cell.cellIndex;
    const next = {
      ArrowLeft: () => cell.previousElementSibling,
      ArrowRight: () => cell.nextElementSibling,
      ArrowUp: () => row.previousElementSibling?.cells[column],
      ArrowDown: () => row.nextElementSibling?.cells[column],
      Home: () => row.cells[1],
      End: () => row.cells[row.cells.length - 1],
    }[event.key]?.();
    if (next === undefined || next === null || next.tagName !== "TD") return;
    event.preventDefault();
    this.focus(next);
  }

  focus(cell) {
    for (const other of this.table.querySelectorAll("tbody [tabindex='0']")) other.tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus();
  }

  choose(cell) {
    if (!cell) return;
    for (const other of this.table.querySelectorAll("[aria-selected]")) {
      other.removeAttribute("aria-selected");
    }
    cell.setAttribute("aria-selected", "true");
    this.focus(cell);
    const { reasons, rerun } = this.data;
    const told = [make("p", {}, make("strong", {}, cell.place), `: ${counted(cell.cases) || "no case"}`)];
    const order = Object.keys(SIGNS);
    const sorted = [...cell.cases].sort((a, b) => order.indexOf(a[2]) - order.indexOf(b[2]));
    for (const [text, , outcome, ratio] of sorted.slice(0, 8)) {
      const facts = [outcome, reasons[text] ?? ratio].filter(Boolean).join(": ");
      told.push(make("p", {}, code(text), make("br"),
        make("span", { class: "quiet" }, `${SIGNS[outcome]} ${facts}`)));
      if (outcome === "differs" && rerun) told.push(command(rerun + text, `the command for ${text}`));
    }
    if (sorted.length > 8) told.push(make("p", { class: "quiet" }, `and ${sorted.length - 8} more`));
    this.root.querySelector(".chosen").replaceChildren(...told);
  }
}

for (const root of document.querySelectorAll(".grid")) {
  const part = root.closest("details"); // of many models most are closed, and wait
  if (part.open) new Grid(root);
  else part.addEventListener("toggle", () => new Grid(root), { once: true });
}
for (const button of document.querySelectorAll(".command button[hidden]")) button.hidden = false;

addEventListener("beforeprint", () => {
  for (const closed of document.querySelectorAll("details:not([open])")) {
    closed.open = true;
    closed.dataset.closed = "";
  }
});
addEventListener("afterprint", () => {
  for (const opened of document.querySelectorAll("details[data-closed]")) {
    opened.open = false;
    delete opened.dataset.closed;
  }
});

const reveal = () => { // a link to what lies in a closed part opens it
  const target = location.hash && document.getElementById(location.hash.slice(1));
  const closed = target && target.closest("details:not([open])");
  if (closed) closed.open = true;
};
addEventListener("hashchange", reveal);
reveal();
