"use strict";
(() => {
  const form = document.getElementById("filters");
  const menus = [...form.querySelectorAll("select")];
  const search = form.querySelector("input");
  const count = form.querySelector("output");
  const all = [...document.querySelectorAll(".responses article")].map((node) => {
    const facts = {};
    for (const menu of menus) facts[menu.name] = JSON.parse(node.dataset[menu.name] || "[]");
    return { node, facts, text: null };
  });
  const show = () => {
    const words = search.value.trim().toLowerCase();
    let shown = 0;
    for (const one of all) {
      let fits = menus.every((menu) => !menu.value || one.facts[menu.name].includes(menu.value));
      if (fits && words) {
        one.text ??= one.node.textContent.toLowerCase();
        fits = one.text.includes(words);
      }
      one.node.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${all.length} questions`;
  };
  form.addEventListener("input", show);
  form.addEventListener("reset", () => setTimeout(show));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
})();
