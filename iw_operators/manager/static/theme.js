/* Light or dark as Airflow is: as its page around this one says, else as it was chosen last, else as the system is. */
(() => {
  const root = document.documentElement;
  const around = () => {
    try { return window.parent !== window ? window.parent.document.documentElement : null; } catch { return null; }
  };
  const apply = () => {
    const outer = around();
    let theme = "";
    if (outer && (outer.classList.contains("dark") || outer.classList.contains("light"))) {
      theme = outer.classList.contains("dark") ? "dark" : "light";
    } else {
      try { theme = localStorage.getItem("theme") || ""; } catch { theme = ""; }
    }
    if (theme === "dark" || theme === "light") root.dataset.theme = theme; else delete root.dataset.theme;
  };
  apply();
  const outer = around();
  if (outer) {
    new MutationObserver(apply).observe(outer, { attributes: true, attributeFilter: ["class", "style"] });
    try { if (window.parent.location.pathname.includes("/dags/")) root.dataset.inTab = ""; } catch { /* alone */ }
  }
  window.addEventListener("storage", apply);
})();
