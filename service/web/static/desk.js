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

async function refresh(id) {
  const old = document.getElementById(id);
  if (!old || !old.dataset.poll) return;
  if (!document.hidden) {
    try {
      const answer = await fetch(old.dataset.poll, { credentials: "same-origin", redirect: "error" });
      if (answer.ok) {
        const made = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(id);
        if (made && made.outerHTML !== old.outerHTML) put(old, document.adoptNode(made));
      }
    } catch {
      // The network is away: the next try may find it back.
    }
  }
  setTimeout(refresh, EVERY, id);
}

for (const element of document.querySelectorAll("[data-poll]")) setTimeout(refresh, EVERY, element.id);

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
