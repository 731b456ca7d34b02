// A list of any length: only the rows in sight are there. Rows are made once and filled again as they come by.
const makeList = ({ box, space, height, fill, pick }) => {
  const EXTRA = 6;
  const rows = new Map(); // position -> node
  const spare = [];
  let order = new Int32Array(0);
  let chosen = -1;
  let due = false;

  const take = () => {
    const node = spare.pop() ?? make("div", "row");
    node.setAttribute("role", "option");
    return node;
  };

  const draw = () => {
    due = false;
    const first = Math.max(0, Math.floor(box.scrollTop / height) - EXTRA);
    const last = Math.min(order.length, Math.ceil((box.scrollTop + box.clientHeight) / height) + EXTRA);
    for (const [at, node] of rows) {
      if (at < first || at >= last) {
        node.remove();
        spare.push(node);
        rows.delete(at);
      }
    }
    for (let at = first; at < last; at += 1) {
      let node = rows.get(at);
      if (!node) {
        node = take();
        node.style.transform = `translateY(${at * height}px)`;
        node.id = `row-${at}`;
        node.dataset.at = at;
        node.setAttribute("aria-posinset", at + 1);
        node.setAttribute("aria-setsize", order.length);
        fill(node, order[at]);
        rows.set(at, node);
        space.append(node);
      }
      node.setAttribute("aria-selected", order[at] === chosen);
    }
    const at = order.indexOf(chosen);
    if (rows.has(at)) box.setAttribute("aria-activedescendant", `row-${at}`);
    else box.removeAttribute("aria-activedescendant");
  };

  const later = () => {
    if (!due) {
      due = true;
      requestAnimationFrame(draw);
    }
  };

  box.addEventListener("scroll", later, { passive: true });
  new ResizeObserver(later).observe(box);
  space.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) pick(order[Number(row.dataset.at)]);
  });

  return {
    show(next) {
      order = next;
      space.style.height = `${order.length * height}px`;
      for (const node of rows.values()) {
        node.remove();
        spare.push(node);
      }
      rows.clear();
      draw();
    },
    again() {
      for (const [at, node] of rows) fill(node, order[at]);
    },
    choose(item) {
      chosen = item;
      const at = order.indexOf(item);
      if (at >= 0) {
        const top = at * height;
        if (top < box.scrollTop) box.scrollTop = top;
        else if (top + height > box.scrollTop + box.clientHeight) box.scrollTop = top + height - box.clientHeight;
      }
      draw();
    },
    top() {
      box.scrollTop = 0;
    },
    inSight: () => [...rows.keys()].map((at) => order[at]),
  };
};
