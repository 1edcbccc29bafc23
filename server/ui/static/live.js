// Keeps the main part of a page as the server has it now. Without this script a page is as it was when it was loaded.
(() => {
  "use strict";
  const main = document.getElementById("main");
  const address = document.body.dataset.live;
  if (!main || !address || !window.EventSource || !window.htmx) return;

  htmx.config.morphIgnore.push("open"); // what a person has unfolded stays so

  const note = document.createElement("span");
  note.className = "live";
  note.setAttribute("role", "status");
  document.querySelector(".who")?.prepend(note);
  const show = (state, text) => {
    if (note.dataset.state === state) return;
    note.dataset.state = state;
    note.textContent = text;
  };

  // A form that is being filled in would be lost, or would be about another row, if the page moved under it.
  const changed = (field) => {
    switch (field.type) {
      case "hidden": case "submit": case "button": case "reset": return false;
      case "checkbox": case "radio": return field.checked !== field.defaultChecked;
      case "file": return field.value !== "";
      case "select-one": return field.selectedIndex !== Math.max([...field.options].findLastIndex((o) => o.defaultSelected), 0);
      case "select-multiple": return [...field.options].some((o) => o.selected !== o.defaultSelected);
    }
    return field.value !== field.defaultValue;
  };
  let held = false; // what is under the pointer must not become something else
  addEventListener("pointerdown", () => { held = true; });
  for (const event of ["pointerup", "pointercancel"]) {
    addEventListener(event, () => setTimeout(() => { held = false; if (stale) refresh(); }));
  }
  const inUse = () =>
    main.querySelector("dialog[open]") !== null ||
    main.contains(document.activeElement) && document.activeElement.tagName === "SELECT" ||
    [...main.querySelectorAll("input, select, textarea")].some(changed);

  // The page is fetched at most four times a second, and never for more than a fifth of the time.
  let stale = false, busy = false, over = false;
  const refresh = async () => {
    stale = true;
    if (busy || held || over || document.hidden) return;
    if (inUse()) {
      show("waiting", "Waits for your form");
      return;
    }
    busy = true;
    stale = false;
    const began = performance.now();
    try {
      const answer = await fetch(location.href, {headers: {Accept: "text/html", "Carillon-Live": "1"}, cache: "no-store"});
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("main");
      const gone = [401, 403, 404].includes(answer.status);
      if (fresh && (answer.ok || gone)) {
        if (held || inUse()) {
          stale = true;
        } else {
          await htmx.swap({sourceElement: main, target: main, text: fresh.innerHTML, swap: "innerMorph"});
          document.title = page.title;
          document.dispatchEvent(new Event("fresh"));
          over = gone; // or signed out: what is shown now says so
          if (over) close("Not live");
          else if (source?.readyState === EventSource.OPEN) show("on", "Live");
        }
      }
    } catch {
      // The server is away: the stream says when it is back.
    }
    setTimeout(() => {
      busy = false;
      if (stale) refresh();
    }, Math.max(250, 4 * (performance.now() - began)));
  };

  // One stream a tab, and none while the tab is hidden. What was missed is fetched when it opens.
  let source = null, retry = 0, wait = 1000;
  const open = () => {
    clearTimeout(retry);
    if (source || over || document.hidden) return;
    source = new EventSource(address);
    source.onopen = () => {
      wait = 1000;
      show("on", "Live");
      refresh();
    };
    source.addEventListener("changed", refresh);
    source.onerror = () => {
      show("off", "Connecting…");
      if (source.readyState !== EventSource.CLOSED) return; // the browser tries again
      close("Connecting…");
      retry = setTimeout(open, wait);
      wait = Math.min(2 * wait, 60000);
      refresh();
    };
  };
  const close = (text) => {
    clearTimeout(retry);
    source?.close();
    source = null;
    show("off", text);
  };

  document.addEventListener("visibilitychange", () => document.hidden ? close("Not live") : open());
  addEventListener("pagehide", () => close("Not live"));
  addEventListener("pageshow", open);
  for (const event of ["change", "input", "reset", "focusout", "close"]) {
    main.addEventListener(event, () => setTimeout(() => stale && !busy && refresh()), true);
  }
  open();
})();
