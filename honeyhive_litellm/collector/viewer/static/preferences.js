// Theme, raw text and what is kept open: words in a cookie, which the server reads, so that no page flickers.
const NAME = "honeyhive_litellm_view";
const YEAR_S = 31536000;

function words() {
  const found = document.cookie.split("; ").find((part) => part.startsWith(`${NAME}=`));
  return new Set(found ? found.slice(NAME.length + 1).split(".").filter(Boolean) : []);
}

function keep(word, on, ...others) {
  const now = words();
  for (const other of [word, ...others]) now.delete(other);
  if (on) now.add(word);
  document.cookie = `${NAME}=${[...now].join(".")}; path=/; max-age=${YEAR_S}; SameSite=Strict`;
}

export function toggleRaw() {
  const raw = document.documentElement.toggleAttribute("data-raw");
  keep("raw", raw);
  for (const button of document.querySelectorAll("[data-raw-switch]")) button.setAttribute("aria-pressed", String(raw));
}

export function startPreferences() {
  const root = document.documentElement;
  document.querySelector("[data-theme-switch]")?.addEventListener("click", () => {
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    keep(root.dataset.theme, true, isDark ? "dark" : "light");
  });
  for (const button of document.querySelectorAll("[data-raw-switch]")) {
    button.addEventListener("click", (event) => { event.preventDefault(); toggleRaw(); });
  }
  for (const fold of document.querySelectorAll("details[data-remember]")) {
    fold.addEventListener("toggle", () => keep(fold.dataset.remember, fold.open));
  }
}
