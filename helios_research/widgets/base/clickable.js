// HTML from the kernel. An element with data-click="NAME:VALUE" sends that when it is clicked;
// the arrow keys walk through the buttons of an element with data-arrows.
function render({ model, el }) {
  const parts = [];
  let copied;

  const stops = (group) => [...group.querySelectorAll("button:not(:disabled)")];

  function draw() {
    const focus = el.contains(document.activeElement) && document.activeElement.dataset.click;
    const open = [...el.querySelectorAll("details[open]")].map((each) => each.dataset.name);
    const before = el.querySelector("[data-scroll]");
    const [name, left, top] = [before?.dataset.scroll, before?.scrollLeft, before?.scrollTop];
    el.innerHTML = model.get("value");
    el.querySelectorAll("details").forEach((each) => (each.open ||= open.includes(each.dataset.name)));
    const now = el.querySelector("[data-scroll]");
    now?.scrollTo(left ?? 0, now.dataset.scroll === name ? top : 0);
    const current = now?.querySelector("[aria-current]");
    if (current) {
      // Not scrollIntoView, which would scroll the notebook too.
      const head = now.querySelector("thead")?.offsetHeight ?? 0;
      const [place, most] = [current.offsetTop, current.offsetTop + current.offsetHeight];
      if (place - head < now.scrollTop) now.scrollTop = place - head;
      if (most > now.scrollTop + now.clientHeight) now.scrollTop = most - now.clientHeight;
    }
    for (const group of el.querySelectorAll("[data-arrows]")) {
      const own = stops(group);
      const first = own.find((each) => each.closest("[aria-current], [aria-pressed=true]")) ?? own[0];
      own.forEach((each) => (each.tabIndex = each === first ? 0 : -1));
    }
    const button = [...el.querySelectorAll("button")].find((each) => each.dataset.click === focus);
    if (focus) button?.focus({ preventScroll: true });
  }

  el.addEventListener("click", ({ target }) => {
    const click = target.closest("[data-click]")?.dataset.click;
    // Who marks text to copy it does not want to go there.
    if (!click || (!target.closest("button") && String(getSelection()))) return;
    model.send({ click });
    if (!target.closest("[data-copy]")) return;
    // A browser lets a page copy only while it answers a click, so what is copied comes later.
    const picture = new Promise((done) => (copied = done));
    Promise.resolve()
      .then(() => navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]))
      .then(() => model.send({ click: "copied:" }))
      .catch((error) => model.send({ click: `copied:${error.message}` }));
  });

  // A picture beside this is a control of its own, which is there without this script, too.
  function point({ target, offsetX, offsetY }) {
    if (target.tagName !== "IMG" || !target.closest(".helios-figure")?.contains(el)) return;
    model.send({ click: `at:${offsetX / target.clientWidth} ${offsetY / target.clientHeight}` });
  }

  el.addEventListener("keydown", (event) => {
    const group = event.target.closest("[data-arrows]");
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!group || !by) return;
    const own = stops(group);
    const next = own[own.indexOf(event.target) + by];
    if (!next) return;
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
    event.preventDefault();
  });

  function receive({ name, is_last, copy }, [part]) {
    parts.push(part);
    if (!is_last) return;
    const whole = new Blob(parts.splice(0), { type: copy ? "image/png" : "application/octet-stream" });
    if (copy) return copied?.(whole);
    const link = Object.assign(document.createElement("a"), { download: name });
    link.href = URL.createObjectURL(whole);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  model.on("change:value", draw);
  model.on("msg:custom", receive);
  document.addEventListener("click", point);
  draw();
  return () => {
    document.removeEventListener("click", point);
    model.off("change:value", draw);
    model.off("msg:custom", receive);
  };
}
export default { render };
