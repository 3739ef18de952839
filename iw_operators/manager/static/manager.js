/* Live update, ticking, finding, folding. The page works without it. */
"use strict";
(() => {
  const EVERY = 4000;
  const MOST = 60000;
  const spoken = document.getElementById("spoken");
  const say = (text) => { if (spoken) spoken.textContent = text; };

  /* ---- live update: only the parts that have changed are exchanged; focus and ticks stay where they are ---- */
  const keyOf = (element) => {
    const name = element.getAttribute("aria-label") || element.getAttribute("href") || element.getAttribute("name");
    return name ? `${element.tagName} ${name}` : "";
  };
  const replace = (id, html) => {
    const old = document.getElementById(id);
    if (!old) return;
    const box = document.createElement(old.tagName === "TR" ? "tbody" : "div");
    box.innerHTML = html;
    const fresh = box.firstElementChild;
    if (!fresh) return;
    const ticked = new Set([...old.querySelectorAll("input:checked")].map((each) => each.value));
    fresh.querySelectorAll("input[type=checkbox]").forEach((each) => { each.checked = ticked.has(each.value); });
    const written = [...old.querySelectorAll("input:not([type=checkbox]):not([type=hidden]), textarea")]
      .filter((each) => each.value !== each.defaultValue);
    written.forEach((each) => {
      const same = fresh.querySelector(`[name="${CSS.escape(each.name)}"]`);
      if (same) same.value = each.value;
    });
    const focused = old.contains(document.activeElement) ? keyOf(document.activeElement) : "";
    fresh.hidden = old.hidden;
    const before = old.dataset.state;
    old.replaceWith(fresh);
    if (focused) {
      const same = [...fresh.querySelectorAll("a, button, input")].find((each) => keyOf(each) === focused);
      (same || fresh.querySelector("a, button") || fresh).focus();
    }
    if (before && fresh.dataset.state !== before) say(`${fresh.dataset.name}: ${fresh.dataset.state}`);
    humanise(fresh);
  };
  const live = document.querySelector("[data-live]");
  let wait = EVERY;
  const typing = () => {
    const at = document.activeElement;
    return at && live.contains(at) && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName) && at.type !== "checkbox";
  };
  const ask = async () => {
    if (document.hidden) { window.setTimeout(ask, EVERY); return; }
    try {
      const url = new URL(live.dataset.live, location.href);
      url.searchParams.set("known", live.dataset.version);
      const answer = await fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin" });
      if (answer.status === 401 || answer.status === 403) {
        document.documentElement.dataset.stale = "";
        say("You are no longer signed in.");
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const news = await answer.json();
      if (news.reload && !typing()) { location.reload(); return; }
      Object.entries(news.parts).forEach(([id, html]) => replace(id, html));
      if (!news.reload) live.dataset.version = news.version;
      delete document.documentElement.dataset.stale;
      wait = EVERY;
    } catch {
      document.documentElement.dataset.stale = "";
      wait = Math.min(wait * 2, MOST);
    }
    window.setTimeout(ask, wait);
  };
  if (live) window.setTimeout(ask, EVERY);

  /* ---- how long ago, beside the moment itself ---- */
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const ago = (then) => {
    const seconds = Math.round((Date.now() - then) / 1000);
    const size = Math.abs(seconds);
    const [unit, name] = units.find(([each]) => size >= each) || [1, "s"];
    const text = `${Math.floor(size / unit)} ${name}`;
    return seconds >= 0 ? `${text} ago` : `in ${text}`;
  };
  const humanise = (root) => root.querySelectorAll("time").forEach((each) => {
    each.dataset.ago = ago(Date.parse(each.dateTime));
  });
  humanise(document);
  window.setInterval(() => { if (!document.hidden) humanise(document); }, 10000);

  /* ---- a message that was read once is not shown again by reloading ---- */
  const url = new URL(location.href);
  if (url.searchParams.has("said")) {
    url.searchParams.delete("said");
    history.replaceState(null, "", url);
  }

  /* ---- tick all, find, fold ---- */
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-all]")) return;
    const rows = event.target.closest("table").querySelectorAll("tbody tr");
    rows.forEach((row) => {
      const box = row.querySelector("input[type=checkbox]");
      if (box && !row.hidden && !row.closest("tbody.folded")) box.checked = event.target.checked;
    });
  });
  const find = document.querySelector("[data-filter]");
  const show = () => {
    const words = find.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    document.querySelectorAll("table.flows tbody").forEach((body) => {
      const head = body.querySelector(".group-head");
      const about = head ? head.textContent.toLowerCase() : "";
      let some = 0;
      body.querySelectorAll("tr:not(.group-head)").forEach((row) => {
        const text = `${about} ${row.textContent.toLowerCase()}`;
        row.hidden = !words.every((word) => text.includes(word));
        some += row.hidden ? 0 : 1;
      });
      if (head) { head.hidden = some === 0; body.classList.toggle("found", words.length > 0); }
    });
  };
  if (find) {
    find.addEventListener("input", show);
    find.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  }
  const folded = (key) => { try { return localStorage.getItem(`iw.fold.${key}`); } catch { return null; } };
  const fold = (body, shut) => {
    body.classList.toggle("folded", shut);
    body.querySelector("[data-fold]").setAttribute("aria-expanded", String(!shut));
  };
  const groups = document.querySelectorAll("tbody[data-group]");
  groups.forEach((body) => {
    const kept = folded(body.dataset.group);
    fold(body, kept ? kept === "shut" : ("shut" in body.dataset || groups.length > 4) && !("busy" in body.dataset));
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-fold]");
    if (!button) return;
    const body = button.closest("tbody");
    const shut = button.getAttribute("aria-expanded") === "true";
    fold(body, shut);
    try { localStorage.setItem(`iw.fold.${body.dataset.group}`, shut ? "shut" : "open"); } catch { /* not kept */ }
  });

  /* ---- links to Airflow's own pages open in Airflow, not in the frame that this page is shown in ---- */
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-airflow-link]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || window.parent === window) return;
    try {
      const outside = window.parent.document.createElement("a");
      outside.href = link.href;
      window.parent.document.body.append(outside);
      event.preventDefault();
      outside.click();
      outside.remove();
    } catch { /* another origin is around us: the link does what links do */ }
  });

  /* ---- Enter in a field says nothing about which of several buttons is meant ---- */
  document.addEventListener("keydown", (event) => {
    const form = event.key === "Enter" && event.target.matches("input") && event.target.form;
    if (!form || form.method !== "post") return;
    if ([...form.elements].filter((each) => each.type === "submit").length > 1) event.preventDefault();
  });

  /* ---- what cannot be taken back is asked once more; a form is sent once ---- */
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    const question = (button && button.dataset.ask) || event.target.dataset.ask;
    if (question && !window.confirm(question)) { event.preventDefault(); return; }
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    if (event.target.method === "post" && !event.target.dataset.again) event.target.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-sent]").forEach((form) => { delete form.dataset.sent; });
  });
})();
