// Keys: / j k Enter Esc [ ] ← → l ?

export const KEYS = [
  ["/", "search processes, units, containers, models, machines"],
  ["j  k", "next and previous row"],
  ["Enter", "open the row"],
  ["Esc", "back, or close what is open"],
  ["[  ]", "the event before, and the next"],
  ["←  →", "a little back or on in time; with Shift ten times as far"],
  ["l", "live"],
  ["?", "this list"],
];

const TYPES_TEXT = new Set(["INPUT", "TEXTAREA", "SELECT"]);

export function listenToKeys(app) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      escape(app, event);
      return;
    }
    if (TYPES_TEXT.has(event.target.nodeName)) return;
    const action = actionOf(app, event);
    if (action === null) return;
    event.preventDefault();
    action();
  });
}

function actionOf(app, event) {
  const table = app.currentTable ?? null;
  const machine = app.session !== null;
  switch (event.key) {
    case "/":
      return () => app.search.focus();
    case "?":
      return () => toggleHelp(app);
    case "j":
      return table === null ? null : () => table.move(1);
    case "k":
      return table === null ? null : () => table.move(-1);
    case "l":
      return machine ? () => app.travel(null, true, true) : null;
    case "[":
      return machine ? () => app.timebar.toEvent(-1) : null;
    case "]":
      return machine ? () => app.timebar.toEvent(1) : null;
    case "ArrowLeft":
      return machine && app.route.section !== "compare" ? () => app.timebar.step(event.shiftKey ? -0.1 : -0.01) : null;
    case "ArrowRight":
      return machine && app.route.section !== "compare" ? () => app.timebar.step(event.shiftKey ? 0.1 : 0.01) : null;
    default:
      return null;
  }
}

function escape(app, event) {
  if (app.help) toggleHelp(app);
  else if (app.search.open) app.search.close();
  else if (TYPES_TEXT.has(event.target.nodeName)) event.target.blur();
  else if (app.route.view === "machine") up(app);
  else return;
  event.preventDefault();
}

/** From an item to its list, from a list to the machine. */
function up(app) {
  const { section, key } = app.route;
  if (key !== null) app.go(app.link(section));
  else if (section !== null) app.go(app.link());
}

export function toggleHelp(app) {
  app.help = !app.help;
  app.draw();
  if (app.help) requestAnimationFrame(() => document.querySelector(".help button")?.focus());
}
