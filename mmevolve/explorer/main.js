// State, filters, search, keys and the address bar.
const start = async () => {
  const $ = (id) => document.getElementById(id);
  const index = await mmevolve.load("index");
  const bit = Object.fromEntries(index.filters.map(([name], k) => [name, 1 << k]));
  const narrow = () => matchMedia("(max-width: 699px)").matches;
  const state = { a: -1, q: "", f: new Set(), place: -1, order: "time", by: index.steps[0] ?? -1, terms: [], opened: false };
  let view = new Int32Array(0);
  let turn = 0;

  const card = async (i) => {
    const chunk = await mmevolve.load(`c${Math.floor(i / index.cards)}`);
    const it = chunk.cards[i % index.cards];
    return { it, sample: chunk.samples[index.sample[i]] };
  };

  // ---- the list
  let asking = 0;
  const want = () => {
    clearTimeout(asking);
    asking = setTimeout(async () => {
      const missing = new Set(list.inSight().map((i) => `c${Math.floor(i / index.cards)}`).filter((name) => !mmevolve.have(name)));
      await Promise.allSettled([...missing].map(mmevolve.load));
      list.again(); // also when none is missing: the attempt beside the list may have brought them since
    }, 50);
  };

  const fill = (node, i) => {
    const chunk = mmevolve.have(`c${Math.floor(i / index.cards)}`);
    node.classList.toggle("waiting", !chunk);
    const f = index.flags[i];
    const ask = make("div", "ask", "…");
    const under = make("div", "under", make("span", f & bit.right ? "good" : f & bit.wrong ? "bad" : "", f & bit.right ? "✓" : f & bit.wrong ? "✗" : "·"));
    if (chunk) {
      const it = chunk.cards[i % index.cards];
      ask.textContent = chunk.samples[index.sample[i]].q || index.ids[i];
      const scores = colouring(it, state.by)?.[2] ?? it.s.map(() => null);
      const strip = make("span", "strip", ...scores.slice(0, 12).map((s) => strong(make("i", s !== null && s < 0.5 ? "no" : ""), s)));
      under.append(make("span", "said", it.a ?? "no answer"), strip);
    } else want();
    const marks = [["trained", "kept", "trained"], ["harmed", "harmed", "harmed"], ["mended", "mended", "mended"], ["alarm", "alarm", "alarm"]];
    under.append(make("span", "tags", ...marks.filter(([name]) => f & bit[name]).slice(0, 2).map(([, kind, words]) => make("span", `tag ${kind}`, words))));
    under.append(make("span", "where", index.places[index.place[i]][1]));
    node.replaceChildren(ask, under);
  };

  const strong = (node, score) => {
    if (score !== null) node.style.background = score >= 0.5 ? "var(--good)" : "var(--bad)";
    return node;
  };

  const list = makeList({ box: $("list"), space: $("space"), height: 60, fill, pick: (i) => go(i, true) });
  const attempt = makeAttempt({ box: $("attempt"), index, bit, card, go: (i, push) => go(i, push), state: () => state });

  // ---- what is shown
  const link = () => {
    const said = new URLSearchParams();
    if (state.a >= 0) said.set("a", `${index.places[index.place[state.a]][0]}:${index.ids[state.a]}`);
    if (state.q) said.set("q", state.q);
    if (state.f.size) said.set("f", [...state.f].join(","));
    if (state.place >= 0) said.set("place", index.places[state.place][0]);
    if (state.order !== "time") said.set("order", state.order);
    if (state.by !== (index.steps[0] ?? -1)) said.set("by", index.critics[state.by]);
    return `#${said.toString().replaceAll("%2F", "/").replaceAll("%3A", ":").replaceAll("%2C", ",").replaceAll("%3D", "=")}`;
  };

  const write = (push) => {
    const next = link();
    if (next === location.hash || (next === "#" && !location.hash)) return;
    if (push) state.opened = true;
    history[push ? "pushState" : "replaceState"](null, "", next === "#" ? location.pathname + location.search : next);
  };

  const go = (i, push) => {
    state.a = i;
    document.body.dataset.view = i >= 0 ? "attempt" : "list";
    list.choose(i);
    write(push);
    present();
    position();
  };

  const present = () => {
    document.title = state.a >= 0 ? `${index.ids[state.a]} · ${index.run}` : `${index.run} · mmevolve explorer`;
    if (state.a >= 0) attempt.show(state.a);
  };

  const position = () => {
    const at = view.indexOf(state.a);
    const of = view.length === index.n ? `${index.n.toLocaleString("en")} attempts` : `${view.length.toLocaleString("en")} of ${index.n.toLocaleString("en")} attempts`;
    $("count").textContent = at >= 0 && !narrow() ? `${(at + 1).toLocaleString("en")} / ${of}` : of;
  };

  const words = async (mine) => {
    const size = Math.ceil(index.n / index.words);
    const found = [];
    for (let k = 0; k < size; k += 1) {
      if (mine !== turn) return null;
      if (!mmevolve.have(`w${k}`)) $("count").textContent = `searching, ${k} of ${size} parts …`;
      found.push(await mmevolve.load(`w${k}`));
    }
    return found;
  };

  const look = async ({ keep = true } = {}) => {
    const mine = (turn += 1);
    state.terms = [...state.q.toLowerCase().matchAll(/"([^"]+)"|(\S+)/g)].map((m) => m[1] ?? m[2].replaceAll('"', "")).filter(Boolean);
    let texts = null;
    if (state.terms.length) {
      try {
        texts = await words(mine);
      } catch (error) {
        $("count").textContent = error.message;
        return;
      }
      if (mine !== turn) return;
    }
    let mask = 0;
    for (const name of state.f) mask |= bit[name];
    const found = [];
    for (let i = 0; i < index.n; i += 1) {
      if ((index.flags[i] & mask) !== mask) continue;
      if (state.place >= 0 && index.place[i] !== state.place) continue;
      if (texts) {
        const text = texts[Math.floor(i / index.words)][i % index.words];
        if (!state.terms.every((t) => text.includes(t))) continue;
      }
      found.push(i);
    }
    if (state.order === "low") found.sort((a, b) => index.low[a] - index.low[b] || a - b);
    if (state.order === "gap") found.sort((a, b) => index.gap[b] - index.gap[a] || a - b);
    view = Int32Array.from(found);
    list.show(view);
    if (!keep) list.top();
    if (!view.length && !(keep && state.a >= 0)) {
      state.a = -1;
      attempt.none("No attempt fits. Press 0 to clear search and filters.");
    } else if (!narrow() && (state.a < 0 || (!keep && !view.includes(state.a)))) {
      state.a = view[0];
    }
    list.choose(state.a);
    present();
    position();
    panel();
  };

  const panel = () => {
    for (const chip of document.querySelectorAll(".chip")) chip.setAttribute("aria-pressed", state.f.has(chip.dataset.filter));
    $("place").value = state.place < 0 ? "" : String(state.place);
    $("sort").value = state.order;
    $("critic").value = String(state.by);
    if (document.activeElement !== $("search")) $("search").value = state.q;
    const on = state.f.size + (state.place >= 0) + (state.q ? 1 : 0);
    $("clear").hidden = !on;
    $("more").textContent = on ? `Filters (${on})` : "Filters";
  };

  const change = () => {
    look({ keep: false }).then(() => write(false));
  };

  const toggle = (name) => {
    const other = { right: "wrong", wrong: "right", harmed: "mended", mended: "harmed" }[name];
    if (!state.f.delete(name)) {
      state.f.add(name);
      state.f.delete(other);
    }
    change();
  };

  const clear = () => {
    Object.assign(state, { q: "", f: new Set(), place: -1 });
    $("search").value = "";
    change();
  };

  const recolour = (by) => {
    state.by = by;
    list.again();
    if (state.a >= 0) attempt.show(state.a);
    panel();
    write(false);
  };

  const restore = () => {
    const said = new URLSearchParams(location.hash.slice(1));
    const names = (text) => (text ?? "").split(",").filter((name) => name in bit);
    const at = said.get("a") ?? "";
    let a = -1;
    for (let i = 0; at && i < index.n && a < 0; i += 1) {
      if (at.endsWith(index.ids[i]) && at === `${index.places[index.place[i]][0]}:${index.ids[i]}`) a = i;
    }
    const by = index.critics.indexOf(said.get("by"));
    Object.assign(state, {
      a, q: said.get("q") ?? "", f: new Set(names(said.get("f"))), place: index.places.findIndex(([name]) => name === said.get("place")),
      order: ["low", "gap"].includes(said.get("order")) ? said.get("order") : "time", by: index.steps.includes(by) ? by : index.steps[0] ?? -1,
    });
    document.body.dataset.view = a >= 0 ? "attempt" : "list";
    $("search").value = state.q;
    return look({ keep: true }).then(() => {
      if (at && a < 0) attempt.none(`This run has no attempt ${at}.`);
    });
  };

  // ---- keys
  const step = (by) => {
    const at = view.indexOf(state.a);
    if (!view.length) return;
    go(view[at < 0 ? 0 : Math.min(view.length - 1, Math.max(0, at + by))], false);
  };
  const sibling = (by) => {
    if (state.a < 0) return;
    const group = attempt.here(state.a);
    go(group[(group.indexOf(state.a) + by + group.length) % group.length], false);
  };
  const keys = {
    j: () => step(1), k: () => step(-1), J: () => step(10), K: () => step(-10), ArrowDown: () => step(1), ArrowUp: () => step(-1),
    PageDown: () => step(10), PageUp: () => step(-10), Home: () => step(-index.n), End: () => step(index.n),
    g: () => step(-index.n), G: () => step(index.n), "]": () => sibling(1), "[": () => sibling(-1),
    p: () => state.a >= 0 && index.parent[state.a] >= 0 && go(index.parent[state.a], true),
    "/": () => { $("search").focus(); $("search").select(); },
    "0": clear,
    c: () => index.steps.length && recolour(index.steps[(index.steps.indexOf(state.by) + 1) % index.steps.length]),
    r: () => $("attempt").classList.toggle("without"),
    "?": () => $("helping").showModal(),
    Enter: () => state.a >= 0 && $("attempt").focus(),
    Escape: () => (narrow() && state.a >= 0 ? go(-1, false) : $("list").focus()),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("helping").open) return;
    const into = event.target;
    if (into.matches("input, select")) {
      if (event.key === "Escape" || (event.key === "Enter" && into === $("search"))) {
        into.blur();
        $("list").focus();
        event.preventDefault();
      }
      return;
    }
    const arrows = ["ArrowDown", "ArrowUp", "PageDown", "PageUp", "Home", "End"];
    if (arrows.includes(event.key) && !$("side").contains(into)) return;
    if (event.key === "Enter" && into.matches("button, summary")) return;
    const filter = index.filters[Number(event.key) - 1];
    const work = filter && /^[1-9]$/.test(event.key) ? () => toggle(filter[0]) : Object.hasOwn(keys, event.key) ? keys[event.key] : null;
    if (work) {
      event.preventDefault();
      work();
    }
  });

  // ---- the panel
  index.filters.forEach(([name], k) => {
    const chip = document.querySelector(`[data-filter="${name}"]`);
    let n = 0;
    for (const flags of index.flags) n += (flags >> k) & 1;
    chip.querySelector("b").textContent = n.toLocaleString("en");
    chip.disabled = !n;
    chip.addEventListener("click", () => toggle(name));
  });
  const option = (value, words) => {
    const node = make("option", "", words);
    node.value = String(value);
    return node;
  };
  $("place").append(...index.places.map(([, label], k) => option(k, label)));
  $("critic").append(...(index.steps.length ? index.steps.map((k) => option(k, index.critics[k])) : [option(-1, "no critic scores steps")]));
  $("place").addEventListener("change", () => { state.place = $("place").value === "" ? -1 : Number($("place").value); change(); });
  $("sort").addEventListener("change", () => { state.order = $("sort").value; change(); });
  $("critic").addEventListener("change", () => recolour(Number($("critic").value)));
  let typing = 0;
  $("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => { state.q = $("search").value.trim(); change(); }, 120);
  });
  $("clear").addEventListener("click", clear);
  $("help").addEventListener("click", () => $("helping").showModal());
  $("more").addEventListener("click", () => {
    $("more").setAttribute("aria-expanded", $("filters").classList.toggle("open"));
  });
  window.addEventListener("popstate", restore);
  window.addEventListener("hashchange", restore);
  matchMedia("(max-width: 699px)").addEventListener("change", () => look({ keep: true }));
  for (const words of index.damaged) $("side").prepend(make("p", "alert", `Left out: ${words}.`));
  await restore();
  if (!index.n) attempt.none("This run has no attempts yet.");
  performance.mark("ready");
  document.body.dataset.ready = "yes";
};
start().catch((error) => {
  document.getElementById("attempt").replaceChildren(make("p", "alert", `The explorer cannot go on: ${error.message}`));
  document.body.dataset.view = "attempt";
});
