"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = id => document.getElementById(id);
  const verdicts = ["", "pass", "warn", "fail"];

  // Everything from the session goes in as text: a file or module name is never markup.
  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) if (value !== undefined) made.setAttribute(name, value);
    for (const child of children) made.append(child);
    return made;
  }
  const count = n => n.toLocaleString("en-US");
  function number(v) {
    if (v === null || v === undefined) return "\u2013";
    if (v >= 1e299) return "inf";
    if (v !== 0 && (Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3)) return v.toExponential(1);
    return Math.abs(v) >= 1000 ? v.toFixed(0) : String(Number(v.toPrecision(3)));
  }
  const bits = v => v === null || v === undefined ? "\u2013" : v.toFixed(1);
  const calls = n => count(n) + (n === 1 ? " call" : " calls");
  const share = (part, whole) => !whole ? "0%" : part === whole ? "100%" : Math.min(99.9, 100 * part / whole).toFixed(1) + "%";
  const shortPath = path => { const parts = path.split("/"); return parts.length > 3 ? "\u2026/" + parts.slice(-2).join("/") : path; };

  function head() {
    const c = data.counts;
    document.title = "FuMi: " + data.file;
    $("file").textContent = data.file;
    const verdict = c.fail ? "fail" : c.warn ? "warn" : "pass";
    const headline = c.fail ? calls(c.fail) + (c.fail === 1 ? " is" : " are") + " wrong: more error than the arithmetic may lose"
      : c.warn ? calls(c.warn) + " to look at; none is wrong"
      : !c.calls ? "No library call was seen"
      : !c.checked ? "Nothing was checked"
      : c.checked === c.calls ? "All " + calls(c.checked) + " are within their bounds"
      : "All " + calls(c.checked) + " that were checked are within their bounds";
    $("headline").textContent = headline;
    $("headline").className = c.fail ? "fail" : c.warn ? "warn" : c.checked ? "good" : "";
    const value = Object.fromEntries(data.values);
    $("facts").textContent = [data.device, value.command, value.started, "FuMi " + data.fumi].filter(Boolean).join("  \u00b7  ");
    if (!value.ended) $("facts").append(element("b", {class: "warn"}, "  \u00b7  the program was killed or crashed; what was flushed before is shown"));
    $("advice").textContent = "Next: " + data.advice.replace(/`/g, "");
    $("advice").classList.add(verdict);
    $("nonfinite").textContent = data.nonfinite && "NaN or infinity: " + data.nonfinite;
    const tile = (text, label, shade) => $("tiles").append(element("div", {class: "tile"}, element("b", {class: shade}, text), element("span", {}, label)));
    const lowest = Math.min(...data.groups.api.map(g => g.bits === null ? Infinity : g.bits));
    tile(count(c.calls), "calls seen");
    tile(share(c.checked, c.calls), "checked");
    tile(count(c.pass), "pass", c.pass ? "pass" : "");
    tile(count(c.warn), "warn", c.warn ? "warn" : "");
    tile(count(c.fail), "fail", c.fail ? "fail" : "");
    tile(Number.isFinite(lowest) ? lowest.toFixed(1) : "\u2013", "fewest effective bits");
  }

  function callDetails(s) {
    const list = element("dl", {});
    const add = (term, text) => { if (text !== "" && text !== null && text !== undefined) list.append(element("dt", {}, term), element("dd", {}, String(text))); };
    add("line", s.location);
    add("module", s.module);
    add("op", s.op);
    add("function", s.function);
    add("kernel", s.kernel);
    add("shape", s.shape);
    add("types", s.dtypes + (s.compute_type ? ", compute " + s.compute_type : ""));
    add("epilogue", s.epilogue);
    add("algorithm", s.algorithm);
    add("check", `${s.mode}, reference ${s.reference}, ${s.coverage} coverage, ${count(s.elements)} elements`);
    add("error", `eta ${number(s.eta)} u, bound ${number(s.bound)} u, kappa ${number(s.kappa)}, effective bits ${bits(s.bits)}`);
    add("largest", `absolute ${number(s.max_abs)}, relative ${number(s.max_rel)}, rms relative ${number(s.rms_rel)}`);
    if (s.mismatches) add("elements over", count(s.mismatches));
    if (s.nonfinite) add("not finite", count(s.nonfinite));
    add("issued by", s.where);
    return list;
  }

  function callRow(s) {
    const place = [s.location ? shortPath(s.location) : "", s.module].filter(Boolean).join("  \u00b7  ");
    const over = s.bound ? s.eta / s.bound : NaN;
    const figures = s.mode === "add_noise"
      ? element("span", {class: "figures"}, "noise amplified ", element("b", {}, number(s.kappa)), "\u00d7  \u00b7  ", bits(s.digits), " digits left")
      : element("span", {class: "figures"}, "eta ", element("b", {}, number(s.eta)), " u of ", number(s.bound), " u",
      over > 1 ? " (" + number(over) + "\u00d7)" : "", "  \u00b7  kappa ", number(s.kappa), "  \u00b7  ", bits(s.bits), " bits");
    const summary = element("summary", {}, element("span", {class: "tag " + s.verdict}, s.verdict),
      element("span", {class: "what"}, element("b", {}, s.api || s.function), s.phase !== "none" ? " " + s.phase : "", place ? "  \u00b7  " + place : ""), figures);
    if (s.reason) summary.append(element("span", {class: "reason"}, s.reason));
    if (s.cause) summary.append(element("span", {class: "reason"}, "Cause: " + s.cause));
    return element("details", {class: "call"}, summary, callDetails(s));
  }

  function suspects() {
    const found = data.suspects.length > 0, rows = found ? data.suspects : data.closest;
    const total = data.counts.fail + data.counts.warn;
    $("suspects-title").textContent = found ? "Suspect calls" : "Closest to their bound";
    $("suspects-note").textContent = !rows.length ? "No call was checked." : (found ? "The worst first; " : "Nothing is suspect. The calls with the largest share of their bound; ")
      + "click one for its details." + (found && total > rows.length ? ` ${count(rows.length)} of ${count(total)} are in this page.` : "");
    let shown = 0;
    const more = () => {
      for (const s of rows.slice(shown, shown + 12)) $("suspects").append(callRow(s));
      shown = Math.min(rows.length, shown + 12);
      $("more").hidden = shown >= rows.length;
      $("more").textContent = `show more (${count(rows.length - shown)})`;
    };
    $("more").addEventListener("click", more);
    more();
  }

  function plots() {
    const names = ["call", "k", "eta", "bound", "kappa", "bits", "verdict", "api", "phase", "location", "shape", "dtypes", "compute"];
    const points = data.points.map(row => Object.fromEntries(row.map((v, i) => [names[i], v])));
    for (const p of points) for (const name of ["api", "location", "shape", "dtypes", "compute"]) p[name] = data.strings[p[name]];
    const tip = $("tip");
    const showTip = (dot, event) => {
      tip.hidden = !dot;
      if (!dot) return;
      const p = dot.point;
      tip.replaceChildren(...[element("b", {}, `${verdicts[p.verdict]}  ${p.api || "no torch API"}${p.phase !== "none" ? " " + p.phase : ""}`),
        p.location ? shortPath(p.location) : "", `${p.shape}  ${p.dtypes}`, `eta ${number(p.eta)} u, bound ${number(p.bound)} u`,
        `kappa ${number(p.kappa)}, effective bits ${bits(p.bits)}, call ${p.call}`].filter(Boolean).map(line => element("div", {}, line)));
      tip.style.left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8) + "px";
      tip.style.top = (event.clientY + tip.offsetHeight + 24 > window.innerHeight ? event.clientY - tip.offsetHeight - 12 : event.clientY + 16) + "px";
    };
    const againstK = scatter($("plot-k"), {xlabel: "K, products in each sum", ylabel: "eta, in u", binary: true, tip: showTip});
    const againstKappa = scatter($("plot-kappa"), {xlabel: "kappa, amplification by the data", ylabel: "eta, in u", tip: showTip});
    const types = [...new Set(points.map(p => p.dtypes))].sort();
    $("types").append(element("option", {value: ""}, "all"), ...types.map(t => element("option", {value: t}, t)));
    const draw = () => {
      const chosen = points.filter(p => !$("types").value || p.dtypes === $("types").value);
      const bounds = new Map();  // one tick for each bound that occurs at a K
      for (const p of chosen) if (p.k > 0 && p.bound > 0) bounds.set(p.k + " " + p.bound.toPrecision(2), {x: p.k, y: p.bound});
      againstK(chosen.filter(p => p.k > 0).map(p => ({x: p.k, y: p.eta, verdict: p.verdict, point: p})), [...bounds.values()]);
      againstKappa(chosen.filter(p => p.kappa !== null).map(p => ({x: p.kappa, y: p.eta, verdict: p.verdict, point: p})), []);
    };
    $("types").addEventListener("change", draw);
    const shades = [["pass", "--pass"], ["warn", "--warn"], ["fail", "--fail"]];
    for (const [label, shade] of shades) $("legend").append(element("span", {}, element("i", {style: `background: var(${shade})`}), label));
    $("legend").append(element("span", {}, element("i", {class: "dash", style: "background: var(--bound)"}), "bound"));
    if (data.point_stride > 1) $("plot-note").textContent = `All suspects, and every ${data.point_stride}th of the other checks.`;
    draw();
  }

  function groups() {
    const columns = [["calls", "calls"], ["checked", "checked"], ["pass", "pass"], ["warn", "warn"], ["fail", "fail"],
      ["eta", "eta (u)"], ["bound", "bound (u)"], ["bits", "fewest bits"], ["kappa", "largest kappa"], ["call", "worst call"]];
    for (const name of Object.keys(data.groups)) $("by").append(element("option", {value: name}, name));
    let order = null, descending = true;  // null: as the session orders them, fails first
    const sortBy = key => { descending = order === key ? !descending : key !== "key" && key !== "bits" && key !== "phase"; order = key; draw(); };
    function header(by) {
      const row = element("tr", {});
      const cell = (key, title, text) => {
        const button = element("button", {type: "button"}, title);
        button.addEventListener("click", () => sortBy(key));
        row.append(element("th", {scope: "col", class: text ? "text" : undefined, "aria-sort": order === key ? (descending ? "descending" : "ascending") : undefined}, button));
      };
      cell("key", by, true);
      if (by === "api") cell("phase", "phase", true);
      for (const [key, title] of columns) cell(key, title, false);
      $("groups").tHead.replaceChildren(row);
    }
    function body(rows, by) {
      const lines = rows.map(g => {
        const line = element("tr", {}, element("td", {title: g.key}, g.key || "(unknown)"));
        if (by === "api") line.append(element("td", {class: "text"}, g.phase));
        for (const [key] of columns) {
          const shade = key === "warn" || key === "fail" ? (g[key] ? key : "zero") : undefined;
          const text = key === "bits" ? bits(g.bits) : ["eta", "bound", "kappa"].includes(key) ? number(g[key]) : key === "call" ? (g.call || "\u2013") : count(g[key]);
          line.append(element("td", {class: shade}, String(text)));
        }
        return line;
      });
      $("groups").tBodies[0].replaceChildren(...lines);
    }
    function draw() {
      const by = $("by").value, all = data.groups[by];
      const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
      let rows = all.filter(g => words.every(w => (g.key + " " + g.phase).toLowerCase().includes(w)) && (!$("only-bad").checked || g.warn || g.fail));
      if (order !== null) {
        const value = g => g[order] === null ? (descending ? -Infinity : Infinity) : g[order];
        rows = rows.slice().sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * (descending ? -1 : 1));
      }
      header(by);
      body(rows, by);
      $("rows-note").textContent = rows.length === all.length ? `${count(all.length)} ${all.length === 1 ? "row" : "rows"}` : `${count(rows.length)} of ${count(all.length)} rows`;
    }
    for (const id of ["by", "filter", "only-bad"]) $(id).addEventListener("input", draw);
    draw();
  }

  function coverage() {
    const c = data.counts;
    $("coverage-note").textContent = !c.calls ? "No library call was seen." : `${count(c.checked)} of ${calls(c.calls)} were checked`
      + (c.checked < c.calls ? "; each of the others has its reason." : ".");
    const bar = (label, n, kind) => $("coverage").append(element("div", {class: "bar" + kind}, element("span", {}, label), element("span", {}, count(n)),
      element("div", {}, element("i", {style: `width: ${c.calls ? 100 * n / c.calls : 0}%`}))));
    if (c.calls) bar("checked", c.checked, " checked");
    for (const m of data.missed) bar("not checked: " + (m.reason || "no reason recorded"), m.calls, "");
  }

  head();
  suspects();
  plots();
  groups();
  coverage();
  for (const [key, value] of data.values) $("values").tBodies[0].append(element("tr", {}, element("td", {}, key), element("td", {}, value)));
})();
