"use strict";
// Data come in pieces: inline in a page that is one file, else as scripts, which a page opened from a disk may load too.
const mmevolve = (() => {
  const MOST = 80; // chunks of cards kept
  const kept = new Map();
  const asked = new Map();

  const put = (name, value) => {
    kept.set(name, value);
    if (name[0] === "c") {
      const cards = [...kept.keys()].filter((key) => /^c\d/.test(key));
      if (cards.length > MOST) kept.delete(cards[0]);
    }
    asked.get(name)?.done(value);
    asked.delete(name);
  };

  const have = (name) => kept.get(name);

  const load = (name) => {
    if (kept.has(name)) return Promise.resolve(kept.get(name));
    if (asked.has(name)) return asked.get(name).promise;
    const inline = document.getElementById(`data-${name}`);
    if (inline) {
      put(name, JSON.parse(inline.textContent));
      return Promise.resolve(kept.get(name));
    }
    const one = {};
    one.promise = new Promise((done, fail) => Object.assign(one, { done, fail }));
    asked.set(name, one);
    const script = document.createElement("script");
    script.src = `data/${name}.js`;
    script.onload = () => script.remove();
    script.onerror = () => {
      script.remove();
      asked.delete(name);
      one.fail(new Error(`data/${name}.js could not be read`));
    };
    document.head.append(script);
    return one.promise;
  };

  return { put, have, load };
})();

// Text always goes in as text: nothing that a model wrote is ever read as HTML.
const make = (tag, kind, ...inside) => {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  node.append(...inside.filter((part) => part !== null && part !== undefined));
  return node;
};

// The critic that colours an attempt: the chosen one, or the first that scored its steps.
const colouring = (it, by) => it.c.find((c) => c[0] === by && c[2].length) ?? it.c.find((c) => c[2].length);
