// The live half of every view. The kernel keeps the rows, renders regions of escaped HTML and sends them; this file puts
// them in place and reports clicks, keys and the search text. It knows nothing of what a view shows:
//   data-act, data-value   a click sends {act, value}
//   data-key               a key that clicks the element
//   data-region            a part that the kernel may replace on its own
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
      body.innerHTML = message.html;
      regions.clear();
      return;
    }
    if (message.type !== "regions") return;
    const focused = root.contains(document.activeElement);
    for (const [name, html] of Object.entries(message.html)) {
      const region = body.querySelector(`[data-region="${CSS.escape(name)}"]`);
      if (!region || regions.get(name) === html) continue;
      const top = region.scrollTop;
      region.innerHTML = html;
      region.scrollTop = top;
      regions.set(name, html);
      const chosen = region.querySelector(".lk-sel");
      if (chosen && region.classList.contains("lk-scroll")) {
        const above = chosen.offsetTop - region.offsetTop;
        const below = above + chosen.offsetHeight - region.clientHeight;
        if (region.scrollTop > above) region.scrollTop = above;
        if (region.scrollTop < below) region.scrollTop = below;
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
    if (target.tagName === "INPUT") target.focus();
    else act(target);
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
