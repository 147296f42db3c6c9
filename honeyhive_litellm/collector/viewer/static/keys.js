// The keyboard: j, k and arrows choose, Enter opens, / searches, ? lists the keys.
import { toggleRaw } from "./preferences.js";

const GO = { e: "/", o: "/overview", d: "/delivery", h: "/help" };

function stops() {
  const rows = document.querySelectorAll("[data-rows] > tr, [data-list] > li, li[data-stop]");
  return rows.length ? [...rows] : [...document.querySelectorAll("article.message, section.message")];
}

function choose(step) {
  const all = stops();
  if (!all.length) return false;
  const at = all.findIndex((one) => one.classList.contains("is-chosen"));
  const next = all[Math.max(0, Math.min(all.length - 1, at < 0 ? (step > 0 ? 0 : all.length - 1) : at + step))];
  all[at]?.classList.remove("is-chosen");
  next.classList.add("is-chosen");
  const target = next.querySelector("a.row-link, a.turn-link, a") ?? next;
  if (target === next) next.tabIndex = -1;
  target.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
  return true;
}

export function startKeys(live) {
  let isGoing = false;
  addEventListener("focusin", (event) => {
    const own = event.target.closest?.(".is-chosen");
    for (const one of document.querySelectorAll(".is-chosen")) if (one !== own) one.classList.remove("is-chosen");
  });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const dialog = document.getElementById("keys");
    if (event.target.closest("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (dialog?.open) return;
    const wasGoing = isGoing;
    isGoing = false;
    if (wasGoing && GO[event.key]) {
      location.href = GO[event.key];
      return;
    }
    const isInScroller = event.target.closest("pre, .scroll, summary");
    let done = true;
    switch (event.key) {
      case "j": done = choose(1); break;
      case "k": done = choose(-1); break;
      case "ArrowDown": done = !isInScroller && document.querySelector("[data-rows], [data-list]") !== null && choose(1); break;
      case "ArrowUp": done = !isInScroller && document.querySelector("[data-rows], [data-list]") !== null && choose(-1); break;
      case "/": document.querySelector(".search input")?.focus(); break;
      case "?": dialog?.showModal(); break;
      case "p": live?.toggle(); break;
      case "r": if (document.querySelector("[data-raw-switch]")) toggleRaw(); break;
      case "[": document.querySelector("a[rel=prev]")?.click(); break;
      case "]": document.querySelector("a[rel=next]")?.click(); break;
      case "g": isGoing = true; break;
      default: done = false;
    }
    if (done) event.preventDefault();
  });
}
