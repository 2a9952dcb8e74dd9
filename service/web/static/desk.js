// The desk works without this. It keeps the books fresh, and warns before typed text is left behind.
"use strict";

const EVERY = 2000;

const REACHABLE = "a, button, input, select, textarea, [tabindex]";

// Whoever has tabbed to a button is still at that button afterwards.
function put(old, made) {
  const inside = old.contains(document.activeElement);
  const label = document.activeElement?.textContent;
  old.replaceWith(made);
  if (!inside) return;
  const now = [...made.querySelectorAll(REACHABLE)];
  (now.find((element) => element.textContent === label) ?? made.closest("main"))?.focus({ preventScroll: true });
}

// A press lasts until its click has come, on a phone a while after the finger is up: swapped meanwhile, it is lost.
const AFTER = 500;
let heldUntil = 0;
for (const begin of ["pointerdown", "keydown"]) window.addEventListener(begin, () => { heldUntil = Infinity; });
for (const end of ["pointerup", "pointercancel", "contextmenu", "keyup", "blur"]) {
  window.addEventListener(end, () => { heldUntil = performance.now() + AFTER; });
}

function swap(page, address) {
  for (const old of document.querySelectorAll(`[data-poll="${address}"]`)) {
    const made = page.getElementById(old.id);
    if (made && made.outerHTML !== old.outerHTML) put(old, document.adoptNode(made));
  }
}

// The log-in is over, or the role is gone: that is said where it said that the page keeps itself fresh.
function giveUp() {
  for (const element of document.querySelectorAll("[data-over]")) element.textContent = element.dataset.over;
}

const OVER = [401, 403, 404];

async function refresh(address) {
  if (!document.querySelector(`[data-poll="${address}"]`)) return;
  if (!document.hidden) {
    try {
      const answer = await fetch(address, { credentials: "same-origin", redirect: "manual" });
      if (answer.type === "opaqueredirect" || OVER.includes(answer.status)) return giveUp();
      const page = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html");
      if (page && performance.now() >= heldUntil) swap(page, address);
    } catch {
      // The network is away: the next try may find it back.
    }
  }
  setTimeout(refresh, EVERY, address);
}

const polled = new Set([...document.querySelectorAll("[data-poll]")].map((element) => element.dataset.poll));
for (const address of polled) setTimeout(refresh, EVERY, address);

for (const form of document.querySelectorAll("form.careful")) {
  const before = new URLSearchParams(new FormData(form)).toString();
  const unsaved = form.dataset.unsaved !== undefined;
  let leaving = false;
  form.addEventListener("submit", () => { leaving = true; });
  window.addEventListener("pageshow", () => { leaving = false; });
  window.addEventListener("beforeunload", (event) => {
    const now = new URLSearchParams(new FormData(form)).toString();
    if (!leaving && (unsaved || now !== before)) event.preventDefault();
  });
}

document.querySelector(".summary[autofocus]")?.focus();
