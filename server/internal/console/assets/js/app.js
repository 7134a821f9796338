// The console's own script. Pages work without it; it copies, keeps relative
// times fresh, opens dialogs, listens for shortcuts, times toasts and keeps a
// form from being sent twice.

const root = document.documentElement;
const once = new WeakSet();

// Copy buttons: data-copy holds the selector of what to copy.

async function copy(button) {
  const box = button.closest("[data-copy-from]") ?? document;
  const source = [...box.querySelectorAll(button.dataset.copy)].find((e) => e.checkVisibility());
  if (!source) return;
  await navigator.clipboard.writeText(source.value ?? source.textContent.trim());
  stored();
  const label = button.querySelector("[data-label]") ?? button;
  const before = label.textContent;
  label.textContent = button.dataset.copied;
  button.dataset.done = "";
  setTimeout(() => {
    label.textContent = before;
    delete button.dataset.done;
  }, 2000);
}

// Relative times, in the words of the server's function Relative.

const steps = [[60, "second"], [60, "minute"], [24, "hour"], [30, "day"]];
const words = new Intl.RelativeTimeFormat(root.lang || "en");

function relative(seconds) {
  if (Math.abs(seconds) < 60) return null;
  let amount = seconds;
  for (const [size, unit] of steps) {
    if (Math.abs(amount) < size) return words.format(Math.trunc(amount), unit);
    amount /= size;
  }
  return null;
}

function refreshTimes() {
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const text = relative((Date.parse(time.dateTime) - Date.now()) / 1000);
    if (text) time.textContent = text;
  }
}

// Dialogs. Browsers with invoker commands open them by themselves; a dialog
// that arrived as a fragment is opened here, and goes when it is closed.

function openArrived() {
  for (const dialog of document.querySelectorAll("dialog[data-arrived]")) {
    if (dialog.open || once.has(dialog)) continue;
    once.add(dialog);
    dialog.addEventListener("close", () => dialog.remove());
    dialog.showModal();
  }
}

function command(button) {
  if ("commandForElement" in HTMLButtonElement.prototype) return;
  const dialog = document.getElementById(button.getAttribute("commandfor"));
  if (button.getAttribute("command") === "show-modal") dialog?.showModal();
  if (button.getAttribute("command") === "close") dialog?.close();
}

// Toasts stay for ten seconds of time in which nobody points at them or has
// the focus in them.

function timeToast(toast) {
  if (once.has(toast)) return;
  once.add(toast);
  let left = 10000;
  let last = performance.now();
  const tick = () => {
    const now = performance.now();
    const paused = document.hidden || toast.matches(":hover, :focus-within");
    if (!paused) left -= now - last;
    last = now;
    if (!toast.isConnected) return;
    if (left <= 0) toast.remove();
    else setTimeout(tick, 250);
  };
  tick();
}

// A form is sent once; after 200 ms its button shows that it is busy.

function sent(event) {
  const form = event.target;
  if (form.method === "get" || event.defaultPrevented) return;
  if (form.dataset.sent !== undefined) {
    event.preventDefault();
    event.stopImmediatePropagation();
    return;
  }
  form.dataset.sent = "";
  const timer = setTimeout(() => event.submitter?.setAttribute("aria-busy", "true"), 200);
  form.addEventListener("sent:over", () => {
    clearTimeout(timer);
    delete form.dataset.sent;
    event.submitter?.removeAttribute("aria-busy");
  }, { once: true });
}

function over(element) {
  const forms = element === document ? document.querySelectorAll("form[data-sent]") : [element];
  for (const form of forms) form.dispatchEvent(new Event("sent:over"));
}

// Shortcuts: data-hotkey="g t" on a link or button. They never fire in a
// field, and data-hotkeys="off" on the document turns them off.

let typed = "";
let typedAt = 0;

function hotkey(event) {
  if (root.dataset.hotkeys === "off" || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest("input, textarea, select, [contenteditable], dialog[open]")) return;
  if (event.key.length !== 1) return;
  const now = performance.now();
  typed = now - typedAt < 1000 ? `${typed} ${event.key}`.split(" ").slice(-2).join(" ") : event.key;
  typedAt = now;
  const find = (keys) => document.querySelector(`[data-hotkey="${CSS.escape(keys)}"]`);
  const target = find(typed) ?? find(event.key);
  if (!target) return;
  event.preventDefault();
  typed = "";
  if (target.matches("input")) target.focus();
  else target.click();
}

// A secret that is shown once: whoever leaves before copying it is asked.

function stored() {
  for (const box of document.querySelectorAll("[data-secret]")) delete box.dataset.secret;
}

addEventListener("beforeunload", (event) => document.querySelector("[data-secret]") && event.preventDefault());
document.addEventListener("copy", stored);

// The first thing to mend has the focus when a page or fragment arrives.

function focusError(within = document) {
  within.querySelector("[aria-invalid='true']")?.focus();
}

// Live figures: data-live holds the address of a stream of events, each of which
// says what other elements of the page hold now. A page in the background rests.

function change({ id, text, width }) {
  const part = document.getElementById(id);
  if (width) part?.setAttribute("width", width);
  else if (part) part.textContent = text;
}

function live(state) {
  if (once.has(state)) return;
  once.add(state);
  let source;
  const listen = () => {
    source?.close();
    if (document.hidden) return;
    source = new EventSource(state.dataset.live);
    source.onopen = () => (state.textContent = state.dataset.on);
    source.onerror = () => {
      const over = source.readyState === EventSource.CLOSED;
      state.textContent = over ? state.dataset.off : state.dataset.lost;
    };
    source.addEventListener("update", (event) => JSON.parse(event.data).forEach(change));
  };
  document.addEventListener("visibilitychange", listen);
  addEventListener("pagehide", () => source?.close());
  listen();
}

function arrived() {
  document.querySelectorAll("[data-live]").forEach(live);
  refreshTimes();
  openArrived();
  document.querySelectorAll(".toast").forEach(timeToast);
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-copy], [command], [data-dismiss], [data-close], [data-stored], [aria-disabled='true']");
  if (!target) return;
  if ("stored" in target.dataset) return stored();
  if (target.ariaDisabled === "true") return event.preventDefault();
  if ("copy" in target.dataset) return copy(target);
  if ("dismiss" in target.dataset) return target.closest(".toast")?.remove();
  if ("close" in target.dataset) {
    const dialog = target.closest("dialog[open]");
    if (!dialog) return;
    event.preventDefault();
    return dialog.close();
  }
  command(target);
});
document.addEventListener("submit", sent, true);
document.addEventListener("keydown", hotkey);
document.addEventListener("htmx:after:swap", (event) => { arrived(); focusError(event.detail.ctx.target); });
document.addEventListener("htmx:finally:request", (event) => over(event.target));
addEventListener("pageshow", (event) => event.persisted && over(document));
setInterval(refreshTimes, 30000);
arrived();
focusError();
