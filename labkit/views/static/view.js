// The live half of every view. The kernel keeps the rows, renders regions of escaped HTML and sends them; this file builds
// them and reports clicks, keys and the search text. It knows nothing of what a view shows:
//   data-act, data-value   a click sends {act, value}
//   data-key               a key that clicks the element
//   data-region            a part that the kernel may replace on its own

// Escaping is the kernel's work; this is the second lock. Markup is parsed in a document that runs and fetches nothing,
// and only what views are made of is built from it: no script, picture, link, frame or handler, whatever slips through.
const TAGS = new Set(
  ("b br button dd del div dl dt h2 i input ins kbd mark p pre span table tbody td th thead tr " +
    "svg g rect line circle text title").split(" "),
);
const ATTRIBUTES = new Set(
  ("class title type placeholder value aria-label aria-pressed role data-act data-value data-key data-region " +
    "data-case-id width height viewBox preserveAspectRatio x y x1 x2 y1 y2 cx cy r fill stroke stroke-width " +
    "stroke-dasharray vector-effect").split(" "),
);
const STYLES = ["color", "flex", "left", "padding", "width"];

function built(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  const copy = (source, target) => {
    for (const child of source.childNodes) {
      if (child.nodeType === Node.TEXT_NODE) target.append(child.data);
      if (child.nodeType !== Node.ELEMENT_NODE || !TAGS.has(child.localName)) continue;
      const element = document.createElementNS(child.namespaceURI, child.localName);
      for (const { name, value } of child.attributes) if (ATTRIBUTES.has(name)) element.setAttribute(name, value);
      for (const name of STYLES) if (child.style[name]) element.style[name] = child.style[name];
      copy(child, element);
      target.append(element);
    }
    return target;
  };
  return copy(parsed.body, document.createDocumentFragment());
}

const REPEAT_MS = 50; // a held key acts 20 times a second at most
function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "labkit lk-live";
  root.tabIndex = 0;
  // JupyterLab's shortcuts cut and delete cells on plain letters: none of them may fire from in here.
  root.dataset.lmSuppressShortcuts = "true";
  // Lives and dies with this view: while it is mounted, the static output of the same display is hidden.
  const hide = document.createElement("style");
  hide.textContent = `.labkit-static-${CSS.escape(model.get("_sid"))} { display: none; }`;
  const body = document.createElement("div");
  root.append(hide, body);
  el.append(root);

  const regions = new Map();
  const show = (message) => {
    if (message.type === "page") {
      body.replaceChildren(built(message.html));
      regions.clear();
      return;
    }
    if (message.type !== "regions") return;
    const focused = root.contains(document.activeElement);
    for (const [name, html] of Object.entries(message.html)) {
      const region = body.querySelector(`[data-region="${CSS.escape(name)}"]`);
      if (!region || regions.get(name) === html) continue;
      const top = region.scrollTop;
      region.replaceChildren(built(html));
      region.scrollTop = top;
      regions.set(name, html);
      const chosen = region.querySelector(".lk-sel");
      if (chosen && region.classList.contains("lk-scroll")) {
        const [box, around] = [chosen.getBoundingClientRect(), region.getBoundingClientRect()];
        const head = region.querySelector(".lk-casehead, thead")?.getBoundingClientRect().height ?? 0;
        if (box.top < around.top + head) region.scrollTop -= around.top + head - box.top;
        if (box.bottom > around.bottom) region.scrollTop += box.bottom - around.bottom;
      }
    }
    // A replaced button takes the focus with it, and the next key would go to the notebook.
    if (focused && !root.contains(document.activeElement)) root.focus({ preventScroll: true });
  };

  const act = (element) => model.send({ act: element.dataset.act, value: element.dataset.value ?? "" });
  const onClick = (event) => {
    const target = event.target.closest("[data-act]");
    if (target && root.contains(target) && target.tagName !== "INPUT") act(target);
  };
  let typing;
  let acted = 0;
  const onInput = (event) => {
    if (!event.target.dataset.act) return;
    clearTimeout(typing);
    typing = setTimeout(() => model.send({ act: event.target.dataset.act, value: event.target.value }), 120);
  };
  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.tagName === "INPUT") {
      if (event.key === "Escape") root.focus();
      event.stopPropagation();
      return;
    }
    const target = root.querySelector(`[data-key~="${CSS.escape(event.key)}"]`);
    if (!target) return;
    event.preventDefault();
    event.stopPropagation();
    if (target.tagName === "INPUT") {
      target.focus();
      return;
    }
    // Every press counts; of the repeats of a held key only as many as the front end and the kernel can follow.
    if (event.repeat && event.timeStamp - acted < REPEAT_MS) return;
    acted = event.timeStamp;
    act(target);
  };
  root.addEventListener("click", onClick);
  root.addEventListener("input", onInput);
  root.addEventListener("keydown", onKey);
  model.on("msg:custom", show);
  model.send({ act: "ready", value: "" });
  return () => {
    clearTimeout(typing);
    model.off("msg:custom", show);
    root.remove();
  };
}
export default { render };
