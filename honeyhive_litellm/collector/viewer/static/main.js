// What a page gains by scripts: theme, raw text, copying, keys, live rows. Without them it can still be read.
import { startCopying } from "./copy.js";
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { startPreferences } from "./preferences.js";

document.documentElement.classList.add("scripted");
startPreferences();
startCopying();
const live = startLive();
startKeys(live);

const filters = document.getElementById("filters");
if (filters) {
  const wide = matchMedia("(min-width: 1081px)");
  const fit = () => { filters.open = wide.matches; };
  wide.addEventListener("change", fit);
  fit();
  const form = filters.querySelector("form");
  form.addEventListener("change", (event) => {
    if (event.target.matches("input[type=checkbox], select") && wide.matches) form.requestSubmit();
  });
  // An empty field is no condition, and does not belong into the URL.
  form.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData.entries()]) if (value === "") event.formData.delete(name);
  });
}
// One open menu at a time, closed by a click elsewhere or Escape.
addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
});
