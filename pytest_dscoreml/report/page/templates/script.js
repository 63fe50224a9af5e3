"use strict";
// The page says all it has to say without this; here are the filters, and folding.
(() => {
  const filters = document.getElementById("filters");
  const items = [...document.querySelectorAll("[data-verdict]")];
  const shown = document.getElementById("shown");
  const matrix = items.filter((item) => item.closest("#conversions"));

  const apply = () => {
    const wanted = {};
    for (const button of filters.querySelectorAll("button[aria-pressed=true]")) {
      (wanted[button.dataset.facet] ??= []).push(button.value);
    }
    for (const item of items) {
      item.hidden = !Object.entries(wanted).every(([facet, values]) => values.includes(item.dataset[facet]));
    }
    const rows = matrix.filter((item) => !item.hidden).length;
    shown.textContent = rows === matrix.length ? "" : `${rows} of ${matrix.length} conversions shown`;
  };

  filters.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-facet]");
    if (button) {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
      apply();
    }
  });

  document.getElementById("fold").addEventListener("click", (event) => {
    const open = event.target.getAttribute("aria-pressed") !== "true";
    event.target.setAttribute("aria-pressed", open);
    for (const details of document.querySelectorAll(".conversion > details")) details.open = open;
  });

  // A link into a section shows what it leads to.
  const follow = () => {
    const section = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = section?.querySelector(":scope > details");
    if (details) {
      details.open = true;
      if (section.hidden) {
        for (const button of filters.querySelectorAll("button[data-facet]")) button.setAttribute("aria-pressed", false);
        apply();
      }
      section.scrollIntoView();
    }
  };
  addEventListener("hashchange", follow);
  filters.hidden = false;
  follow();
})();
