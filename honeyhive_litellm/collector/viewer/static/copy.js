// Buttons that copy: what a URL of ours gives, or the text of an element.
import { announce } from "./announce.js";

async function copy(button, text) {
  await navigator.clipboard.writeText(text);
  const label = button.textContent;
  button.textContent = "Copied";
  announce("Copied");
  setTimeout(() => { button.textContent = label; }, 1500);
}

export function startCopying() {
  for (const button of document.querySelectorAll("[data-copy], [data-copy-text]")) {
    button.addEventListener("click", async () => {
      try {
        if (button.dataset.copyText) {
          await copy(button, document.querySelector(button.dataset.copyText).innerText);
          return;
        }
        const response = await fetch(button.dataset.copy);
        if (!response.ok) throw new Error(String(response.status));
        await copy(button, await response.text());
      } catch {
        announce("Copying failed");
        button.textContent = "Copying failed";
      }
    });
  }
}
