"use strict";
// Without this script everything is there, one build below the other; with it builds become tabs.
(() => {
  const tabs = [...document.querySelectorAll('[role="tab"]')];
  const panels = tabs.map((tab) => document.getElementById(tab.getAttribute("aria-controls")));

  function show(index, focus) {
    tabs.forEach((tab, n) => {
      tab.setAttribute("aria-selected", String(n === index));
      tab.tabIndex = n === index ? 0 : -1;
      panels[n].hidden = n !== index;
    });
    if (focus) tabs[index].focus();
  }

  // A link to a stage of a build that is not shown, or that is closed, opens both.
  function reveal() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (!target) return;
    const panel = panels.findIndex((one) => one.contains(target));
    if (panel >= 0) show(panel);
    if (target.tagName === "DETAILS") target.open = true;
    target.scrollIntoView();
  }

  if (tabs.length) {
    document.querySelector('[role="tablist"]').hidden = false;
    panels.forEach((panel) => panel.setAttribute("role", "tabpanel"));
    tabs.forEach((tab, index) => {
      tab.addEventListener("click", () => show(index));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (step) show((index + step + tabs.length) % tabs.length, true);
        else if (event.key === "Home") show(0, true);
        else if (event.key === "End") show(tabs.length - 1, true);
        else return;
        event.preventDefault();
      });
    });
    show(0);
  }

  document.querySelectorAll(".controls").forEach((controls) => { controls.hidden = false; });
  document.querySelectorAll("[data-open], [data-close]").forEach((button) => {
    button.addEventListener("click", () => {
      const id = button.dataset.open || button.dataset.close;
      document.querySelectorAll(`#${CSS.escape(id)} details.stage`).forEach((stage) => { stage.open = Boolean(button.dataset.open); });
    });
  });

  addEventListener("hashchange", reveal);
  reveal();
})();
