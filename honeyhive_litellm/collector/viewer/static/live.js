// New rows by server-sent events. Nothing moves under a hand: rows wait behind a button while the list is paused,
// scrolled, pointed at or walked by keys.
import { announce } from "./announce.js";

const MOST_ROWS = 200;

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html; // the server has escaped it, with the template of the list itself
  return template.content.querySelector("tr");
}

export function startLive() {
  const button = document.querySelector("[data-live]");
  if (!button) return null;
  const body = document.querySelector("[data-rows]");
  const news = document.querySelector("[data-news]");
  const word = button.querySelector("[data-live-word]");
  const total = document.querySelector("[data-total]");
  let last = button.dataset.since;
  let isPaused = false;
  let held = [];
  let source;

  const show = (state, label) => {
    button.classList.remove("is-live", "is-paused", "is-lost");
    button.classList.add(state);
    if (word) word.textContent = label;
  };
  const isBusy = () =>
    isPaused || scrollY > 8 || body.matches(":hover") || body.contains(document.activeElement) || String(getSelection()) !== "";

  function insert(rows) {
    document.querySelector("[data-nothing]")?.remove();
    for (const html of rows) {
      const row = parse(html);
      if (!row || body.querySelector(`[data-seq="${row.dataset.seq}"]`)) continue;
      row.classList.add("is-new");
      body.prepend(row);
    }
    while (body.children.length > MOST_ROWS) body.lastElementChild.remove();
  }
  function release() {
    insert(held);
    held = [];
    if (news) news.hidden = true;
  }
  function take(rows) {
    if (total && /^[\d,]+$/.test(total.textContent)) {
      total.textContent = (Number(total.textContent.replaceAll(",", "")) + rows.length).toLocaleString("en-US");
    }
    held.push(...rows.map((row) => row.html));
    if (!isBusy()) {
      release();
      announce(`${rows.length} new`);
      return;
    }
    held = held.slice(-MOST_ROWS);
    news.textContent = `${held.length} new`;
    news.hidden = false;
  }
  function connect() {
    const url = new URL(button.dataset.url, location.href);
    url.searchParams.set("since", last);
    source = new EventSource(url);
    source.addEventListener("open", () => show(isPaused ? "is-paused" : "is-live", isPaused ? "Paused" : "Live"));
    source.addEventListener("rows", (event) => {
      last = event.lastEventId;
      if ("reload" in button.dataset) location.reload();
      else take(JSON.parse(event.data).rows);
    });
    source.addEventListener("reload", (event) => {
      last = event.lastEventId;
      if (!isBusy() || "reload" in button.dataset) location.reload();
      else if (news) {
        news.textContent = "Many new: load again";
        news.hidden = false;
        news.onclick = () => location.reload();
      }
    });
    source.addEventListener("error", () => {
      show("is-lost", "Lost");
      // A refused connection ends the source for good: another try may find the server back.
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
    });
  }
  function toggle() {
    isPaused = !isPaused;
    button.setAttribute("aria-pressed", String(!isPaused));
    show(isPaused ? "is-paused" : "is-live", isPaused ? "Paused" : "Live");
    if (!isPaused) release();
  }
  if (button.matches("button")) button.addEventListener("click", toggle);
  news?.addEventListener("click", () => {
    if (news.onclick) return;
    scrollTo({ top: 0 });
    release();
  });
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
  connect();
  return { toggle };
}
