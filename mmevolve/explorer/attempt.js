// One attempt: picture with regions, steps with every critic's mark, critiques, revisions, what was trained on and why.
const makeAttempt = ({ box, index, bit, card, go, state }) => {
  const PASS = 0.5;
  let shown = -1;
  let turn = 0;

  const tone = (score) => (score === null || score === undefined ? "none" : score >= PASS ? "yes" : "no");
  const sign = (i) => (index.flags[i] & bit.right ? "✓ right" : index.flags[i] & bit.wrong ? "✗ wrong" : "not judged");
  const verdict = (i) => make("span", index.flags[i] & bit.right ? "good" : index.flags[i] & bit.wrong ? "bad" : "", sign(i));
  const colour = (node, score) => {
    if (score === null || score === undefined) return node;
    const held = Math.min(1, Math.max(0, score));
    const share = Math.round(12 + 60 * Math.abs(held - PASS));
    node.style.background = `color-mix(in srgb, var(--${held >= PASS ? "good" : "bad"}) ${share}%, var(--paper))`;
    return node;
  };
  const number = (score, verdicts) => (score === null ? "–" : verdicts ? (score > 0 ? "✓" : "✗") : score.toFixed(2));
  const isVerdict = (scores) => scores.every((s) => s === 0 || s === 1);

  const say = (text) => {
    const terms = state().terms;
    if (!terms.length) return document.createTextNode(text);
    const found = document.createDocumentFragment();
    const small = text.toLowerCase();
    let at = 0;
    while (at < text.length) {
      const next = terms.map((t) => [small.indexOf(t, at), t.length]).filter(([i]) => i >= 0).sort((a, b) => a[0] - b[0] || b[1] - a[1])[0];
      if (!next) break;
      found.append(text.slice(at, next[0]), make("mark", "", text.slice(next[0], next[0] + next[1])));
      at = next[0] + next[1];
    }
    found.append(text.slice(at));
    return found;
  };

  const section = (title, ...inside) => [make("h2", "", title), ...inside];

  const tags = (i) => {
    const f = index.flags[i];
    const names = [["trained", "kept", "trained on"], ["harmed", "harmed", "harmed by critique"], ["mended", "mended", "mended by critique"],
      ["lucky", "alarm", "wrong step"], ["disagree", "", "critics disagree"]];
    return names.filter(([name]) => f & bit[name]).map(([, kind, words]) => make("span", `tag ${kind}`, words));
  };

  const source = async (name) => {
    if (!document.getElementById("data-index")) return `pictures/${name}`;
    return (await mmevolve.load("pictures"))[name];
  };

  const pictures = (sample, steps, scores) => {
    const frames = sample.p.map((name, k) => {
      const img = make("img");
      img.alt = `picture ${k + 1} of the question`;
      const frame = make("div", "frame", img);
      img.addEventListener("load", () => img.classList.toggle("tiny", img.naturalWidth <= 160));
      img.addEventListener("error", () => frame.replaceWith(make("p", "alert", "The picture cannot be shown.")));
      source(name).then((src) => {
        if (src) img.src = src;
        else img.dispatchEvent(new Event("error"));
      });
      steps.forEach(([, , image, boxes], s) => {
        if (image !== k) return;
        for (const [x0, y0, x1, y1] of boxes) {
          const region = make("div", `region ${tone(scores[s])}`, make("b", "", String(s + 1)));
          region.dataset.step = s;
          Object.assign(region.style, { left: `${100 * x0}%`, top: `${100 * y0}%`, width: `${100 * (x1 - x0)}%`, height: `${100 * (y1 - y0)}%` });
          frame.append(region);
        }
      });
      const boxes = steps.reduce((sum, step) => sum + (step[2] === k ? step[3].length : 0), 0);
      const words = [sample.p.length > 1 ? `picture ${k + 1}` : "", boxes ? `${boxes} region${boxes > 1 ? "s" : ""}, numbered by step` : ""].filter(Boolean);
      return make("figure", "", frame, words.length ? make("figcaption", "", words.join(": ")) : null);
    });
    return make("div", "pictures", ...frames);
  };

  const point = (step) => {
    box.querySelectorAll(".frame").forEach((frame) => {
      frame.classList.toggle("pointing", step >= 0 && frame.querySelector(`[data-step="${step}"]`) !== null);
      frame.querySelectorAll(".region").forEach((r) => r.classList.toggle("here", Number(r.dataset.step) === step));
    });
    box.querySelectorAll(".steps tbody tr").forEach((row, k) => row.classList.toggle("pointed", k === step));
  };

  const steps = (it, by, before) => {
    if (!it.s.length) return make("p", "alert", "The model wrote nothing.");
    const judges = it.c.filter((c) => c[2].length);
    const head = make("tr", "", make("th", "", ""), make("th", "", "step"));
    for (const c of judges) {
      const th = make("th", c[0] === by ? "by" : "", index.critics[c[0]]);
      th.title = c[0] === by ? "colours the steps and regions" : "";
      head.append(th);
    }
    const old = before ? new Set(before.s.map((s) => s[0])) : null;
    const body = make("tbody");
    const scores = judges.find((c) => c[0] === by)?.[2] ?? [];
    it.s.forEach(([text, kind, , boxes], k) => {
      const words = judges.filter((c) => c[3][k]).map((c) => make("span", "word", `${index.critics[c[0]]}: `, say(c[3][k])));
      const what = kind === "reasoning" ? "" : kind;
      const cell = make("td", "text", say(text), what || boxes.length ? make("small", "", [what, boxes.length ? "▢" : ""].filter(Boolean).join(" ")) : null, ...words);
      const row = make("tr", `${tone(scores[k])}${old && !old.has(text) ? " new" : ""}`, make("td", "n", String(k + 1)), cell);
      for (const c of judges) {
        const mark = colour(make("td", "mark", number(c[2][k], isVerdict(c[2]))), c[2][k]);
        mark.dataset.critic = index.critics[c[0]];
        row.append(mark);
      }
      if (boxes.length) {
        row.tabIndex = 0;
        for (const name of ["mouseenter", "focus"]) row.addEventListener(name, () => point(k));
        for (const name of ["mouseleave", "blur"]) row.addEventListener(name, () => point(-1));
      }
      body.append(row);
    });
    const table = make("table", "steps", make("thead", "", head), body);
    const kept = new Set(it.s.map((s) => s[0]));
    const gone = before ? before.s.filter((s) => !kept.has(s[0])) : [];
    const lines = gone.map((s) => make("p", "gone", s[0]));
    return make("div", "", table, ...(lines.length ? section("Not in it any more", ...lines) : []));
  };

  const critics = (it) => {
    if (!it.c.length) return [make("p", "kicker", "No critic judged this attempt.")];
    const lines = it.c.map(([who, score, , , text, sees, error]) => {
      const verdicts = score === 0 || score === 1;
      const mark = colour(make("span", "score", score === null ? "no score" : number(score, verdicts)), score);
      const words = make("span", "say", say(error ?? text));
      words.dataset.none = sees ? "looked at the picture" : "";
      return make("div", "critic", make("span", "", index.critics[who]), mark, words);
    });
    return [make("div", "critics", ...lines)];
  };

  const line = (i, words) => {
    const button = make("button", "go", verdict(i), make("span", "answer", ""), make("span", "id", words ?? index.ids[i]), ...tags(i).slice(0, 1));
    button.type = "button";
    button.title = index.ids[i];
    button.setAttribute("aria-current", i === shown);
    button.addEventListener("click", () => go(i, true));
    card(i).then(({ it }) => { button.querySelector(".answer").textContent = it.a ?? "no answer"; }, () => {});
    return button;
  };

  const alike = (i) => {
    const same = [];
    for (let j = 0; j < index.n; j += 1) if (index.sample[j] === index.sample[i]) same.push(j);
    return same;
  };

  const tree = (i, group) => {
    const children = new Map();
    for (const j of group) {
      const up = index.parent[j];
      if (up >= 0) children.set(up, [...(children.get(up) ?? []), j]);
    }
    let root = i;
    while (index.parent[root] >= 0) root = index.parent[root];
    if (!children.has(root)) return [];
    const branch = (j) => {
      const below = children.get(j) ?? [];
      const up = index.parent[j];
      const words = up < 0 ? `${index.ids[j]}, first attempt` : index.ids[j];
      return make("li", "", line(j, words), below.length ? make("ul", "", ...below.map(branch)) : null);
    };
    return section("Revisions", make("ul", "tree", branch(root)));
  };

  const show = async (i) => {
    const mine = (turn += 1);
    if (!box.childElementCount) box.append(make("p", "empty", "reading …"));
    let found;
    let before = null;
    try {
      found = await card(i);
      if (index.parent[i] >= 0) before = (await card(index.parent[i])).it;
    } catch (error) {
      if (mine === turn) box.replaceChildren(make("p", "alert", `${error.message}. Is \`mmevolve explore\` still running?`));
      return;
    }
    if (mine !== turn) return;
    const { it, sample } = found;
    const moved = shown !== i;
    shown = i;
    const [by, , scores] = colouring(it, state().by) ?? [-1, null, []];
    const same = alike(i);
    const here = same.filter((j) => index.place[j] === index.place[i]);
    const elsewhere = same.filter((j) => index.place[j] !== index.place[i]);
    const back = make("button", "", "‹ list");
    back.id = "back";
    back.type = "button";
    back.addEventListener("click", () => history.length > 1 && state().opened ? history.back() : go(-1, false));
    const where = make("span", "where", `${index.places[index.place[i]][1]} · ${index.ids[i]}${sample.src ? ` · ${sample.src}` : ""}`);
    const answer = make("span", "", "answer ", make("b", "", it.a === null ? "none" : say(it.a)), " ", verdict(i));
    const options = make("ol", "options", ...sample.o.map((o) => make("li", "", say(o))));
    options.type = "A";
    const notes = tags(i);
    const rows = it.rows.map((k) => make("code", "", `mmevolve trace ${index.run} ${index.places[index.place[i]][0]}/${k}`));
    const right = make("div", "", steps(it, by, before));
    const pictured = sample.p.length > 0;
    const parts = [
      make("div", "bar", back, where),
      make("p", "question", say(sample.q || "The question itself was not kept in this run's folder.")),
      ...(sample.o.length ? [options] : []),
      make("div", "answers", answer, sample.a === null ? null : make("span", "", "reference ", make("b", "", sample.a))),
      ...(notes.length ? [make("div", "notes", ...notes)] : []),
      ...it.alarms.map((a) => make("p", "alert", a)),
      make("div", `beside${pictured ? " pictured" : ""}`, ...(pictured ? [pictures(sample, it.s, scores)] : []), right),
      ...section("Critics, of the whole attempt", ...critics(it)),
      ...tree(i, here),
      ...section("Training", make("ul", "why", ...it.why.map((w) => make("li", "", w))), ...rows),
      ...(here.length > 1 ? section("At the same question", ...here.slice(0, 40).map((j) => line(j))) : []),
      ...(elsewhere.length ? section("At other times", ...elsewhere.slice(0, 40).map((j) => line(j, index.places[index.place[j]][1]))) : []),
      ...section("How it was written", make("dl", "facts", ...it.made.flatMap(([k, v]) => [make("dt", "", k), make("dd", "", v)]))),
    ];
    const at = box.scrollTop;
    box.replaceChildren(...parts);
    box.scrollTop = moved ? 0 : at;
  };

  const none = (words) => {
    turn += 1;
    shown = -1;
    box.replaceChildren(make("p", "empty", words));
  };

  return { show, none, tone, colour, here: (i) => alike(i).filter((j) => index.place[j] === index.place[i]) };
};
