// The little that a page needs of its own: one policy for what htmx inserts, keys, a pause, and a voice.
"use strict";

// htmx parses pages of ours, and of nobody else (selfRequestsOnly); scripts and their addresses may not be made.
if (window.trustedTypes && trustedTypes.createPolicy) {
  trustedTypes.createPolicy("default", { createHTML: (html) => html });
}

(() => {
  let paused = false;
  const rows = () => [...document.querySelectorAll("a.open")];

  const dress = () => {
    const pause = document.getElementById("pause");
    if (!pause) return;
    pause.hidden = false;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Resume updates" : "Pause updates";
  };

  document.addEventListener("click", (event) => {
    if (event.target.id !== "pause") return;
    paused = !paused;
    dress();
  });

  // Live updates wait while they are paused, and while somebody reads in another tab.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id === "board" && (paused || document.hidden)) event.preventDefault();
  });

  document.addEventListener("htmx:afterSettle", (event) => {
    dress();
    if (event.target.id === "board" || event.detail.elt?.id === "board") return;
    const alert = document.getElementById("alert");
    if (alert) alert.focus();
    document.getElementById("live").textContent = document.title;
  });

  // j and k go through the queue once the focus is in it; Enter opens, as on any link.
  document.addEventListener("keydown", (event) => {
    const step = { j: 1, k: -1 }[event.key];
    const all = rows();
    const now = all.indexOf(document.activeElement);
    if (!step || now < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    all[Math.min(all.length - 1, Math.max(0, now + step))].focus();
    event.preventDefault();
  });

  document.addEventListener("DOMContentLoaded", dress);
})();
