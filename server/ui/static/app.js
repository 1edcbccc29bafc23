// Moves for those who keep their hands on the keys, and times that stay true. All that it leads to is a link of the page.
(() => {
  "use strict";

  // Times stay true, and are shown as this browser was told to: relative to now, as the server writes them (stampOf in
  // templates.go), or exactly, in UTC or in the browser's zone. What is not shown is behind the pointer.
  const units = [[31536000, "y"], [86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const span = (s) => {
    const [of, name] = units.find(([of]) => s >= of) ?? units.at(-1);
    return Math.floor(s / of) + " " + name;
  };
  const ahead = Date.now() - Number(document.querySelector("meta[name=made]").content); // of this clock, and of what the way here took
  const near = (at) => {
    const ago = (Date.now() - ahead - at) / 1000;
    return ago < -1 ? "in " + span(-ago) : ago < 1 ? "now" : span(ago) + " ago";
  };
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const inZone = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone: here }); // as ISO 8601 has it
  const local = (at) => inZone.format(at) + " " + here;
  const kept = (key, value) => { // a browser may forbid that anything is remembered
    try {
      if (value !== undefined) localStorage.setItem(key, value);
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  };
  const zones = document.createElement("select");
  zones.setAttribute("aria-label", "Times");
  for (const [value, text] of [["", "Times from now"], ["utc", "Times in UTC"], ["local", "Times in " + here]]) zones.append(new Option(text, value));
  zones.value = kept("carillon-times") ?? "";
  if (zones.selectedIndex < 0) zones.value = "";
  document.querySelector(".who")?.prepend(zones);
  const told = new WeakMap(); // what was made of a time; the server may have put another one in its place
  const tell = () => {
    if (document.hidden) return;
    for (const time of document.querySelectorAll("time[datetime]")) {
      const at = Date.parse(time.dateTime);
      if (Number.isNaN(at)) continue;
      let made = told.get(time);
      if (made?.of !== time.dateTime || made.title !== time.title) {
        // One without a title is exact in any case.
        made = { of: time.dateTime, utc: time.title || time.textContent, zone: time.title ? "" : "utc" };
        told.set(time, made);
      }
      const zone = zones.value || made.zone;
      const text = zone === "utc" ? made.utc : zone === "local" ? local(at) : near(at);
      made.title = zone === "utc" ? local(at) : made.utc;
      if (time.textContent !== text) time.textContent = text;
      if (time.title !== made.title) time.title = made.title;
    }
  };
  zones.addEventListener("change", () => {
    kept("carillon-times", zones.value);
    tell();
  });
  tell();
  document.addEventListener("fresh", tell); // live.js has put other times here
  setInterval(tell, 1000);

  // What a button shows is shown while the fields that it is of are typed in, as if it had been pressed: the part of the
  // page that has the id, or what was wrong. What comes late is not shown.
  for (const button of document.querySelectorAll("button[data-shows]")) {
    const part = document.getElementById(button.dataset.shows), form = button.form;
    let timer = 0, latest = 0;
    const show = async () => {
      const nth = ++latest;
      try {
        const answer = await fetch(location.href, { method: "POST", body: new URLSearchParams(new FormData(form, button)) });
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (nth !== latest) return;
        const fresh = page.getElementById(part.id)?.childNodes ?? [];
        part.replaceChildren(...page.querySelectorAll("main .notice.bad"), ...fresh);
        tell();
      } catch {
        // The server is away: the button says so.
      }
    };
    form.addEventListener("input", (event) => {
      if (!button.dataset.of.split(" ").includes(event.target.name)) return;
      clearTimeout(timer);
      timer = setTimeout(show, 300);
    });
  }

  // A box in the head of a table selects all rows that the page shows; those of all pages are chosen by a button.
  const rowsOf = (table) => [...table.querySelectorAll("tbody input[name=job]")];
  const headOf = (table) => table.querySelector("thead input");
  const count = (table) => {
    const rows = rowsOf(table), head = headOf(table), selected = rows.filter((row) => row.checked).length;
    head.checked = selected === rows.length;
    head.indeterminate = selected > 0 && selected < rows.length;
  };
  const addHeads = () => {
    for (const table of document.querySelectorAll("main form table")) {
      if (!rowsOf(table).length) continue;
      if (!headOf(table)) {
        const box = document.createElement("input");
        box.type = "checkbox";
        box.autocomplete = "off";
        box.setAttribute("aria-label", "Select all jobs of this page");
        table.querySelector("thead th").append(box);
      }
      count(table);
    }
  };
  addHeads();
  document.addEventListener("fresh", addHeads);
  addEventListener("pageshow", addHeads); // the browser has gone back to what was selected
  document.addEventListener("change", (event) => {
    const table = event.target.closest("main form table");
    if (!table || !headOf(table)) return;
    if (event.target === headOf(table)) for (const row of rowsOf(table)) row.checked = event.target.checked;
    count(table);
  }, true);

  // The palette: the links of the page, and a search for an app.
  const palette = document.createElement("dialog");
  palette.className = "palette";
  palette.setAttribute("aria-label", "Go to");
  const input = document.createElement("input");
  input.type = "search";
  input.setAttribute("aria-label", "Go to");
  input.placeholder = "A page, or an app";
  const list = document.createElement("ul");
  palette.append(input, list);
  const base = document.querySelector(".brand")?.getAttribute("href");
  const item = (text, href) => {
    const link = document.createElement("a");
    link.href = href;
    link.textContent = text; // never as HTML: it may be a name that a client chose
    const row = document.createElement("li");
    row.append(link);
    return row;
  };
  const fill = () => {
    const word = input.value.trim().toLowerCase();
    const links = new Map();
    for (const link of document.querySelectorAll(".top nav a, .tabs a, .crumbs a, main th a")) {
      if (!links.has(link.href)) links.set(link.href, link.textContent.trim());
    }
    const rows = [...links].filter(([, text]) => text.toLowerCase().includes(word)).slice(0, 12).map(([href, text]) => item(text, href));
    if (word) rows.push(item("The job or the app " + input.value.trim(), base + "jump?to=" + encodeURIComponent(input.value.trim())));
    if (word) rows.push(item("Apps with " + input.value.trim() + " in their name", base + "apps?contains=" + encodeURIComponent(input.value.trim())));
    list.replaceChildren(...rows);
  };
  input.addEventListener("input", fill);
  palette.addEventListener("keydown", (event) => {
    const links = [...list.querySelectorAll("a")];
    if (event.key === "Enter" && event.target === input && links.length) {
      links[0].click();
      event.preventDefault();
    }
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const next = links.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
      (links[next] ?? input).focus();
      event.preventDefault();
    }
  });

  // The row that j and k have come to is the one whose link has the focus: Enter follows it.
  const move = (by) => {
    const links = [...document.querySelectorAll("main tbody tr")].map((row) => row.querySelector("th a, a")).filter(Boolean);
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    links[at < 0 ? 0 : Math.min(Math.max(at + by, 0), links.length - 1)].focus();
  };
  addEventListener("keydown", (event) => {
    const palettes = event.key === "k" && (event.ctrlKey || event.metaKey);
    if (!palettes && (event.ctrlKey || event.metaKey || event.altKey)) return;
    if (!palettes && event.target.closest?.("input, select, textarea, dialog, [contenteditable]")) return;
    if (palettes || event.key === "/") {
      if (!base || palette.open) return;
      if (!palette.isConnected) document.body.append(palette);
      input.value = "";
      fill();
      palette.showModal();
      input.focus();
      event.preventDefault();
    } else if (event.key === "j" || event.key === "k") {
      move(event.key === "j" ? 1 : -1);
    }
  });
})();
