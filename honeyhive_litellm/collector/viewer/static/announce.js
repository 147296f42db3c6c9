// Says something to those who hear the page.
export function announce(text) {
  const place = document.getElementById("announcement");
  if (place) place.textContent = text;
}
