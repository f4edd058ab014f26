"use strict";
// A scatter plot on two logarithmic axes, on a canvas: dots to point at, ticks for their bounds.
function scatter(canvas, options) {
  const margin = {left: 58, right: 14, top: 12, bottom: 44};
  let dots = [], bounds = [], scale = null, hover = null;

  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const decades = (low, high) => {
    const ticks = [];
    for (let e = Math.floor(low); e <= Math.ceil(high); ++e) ticks.push(e);
    return ticks;
  };
  const superscript = n => String(n).replace(/-/g, "\u207b").replace(/\d/g, d => "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"[d]);
  const power = e => e >= 0 && e <= 3 ? String(10 ** e) : e < 0 && e >= -2 ? (10 ** e).toFixed(-e) : "10" + superscript(e);

  function range(values, least) {
    let low = Infinity, high = -Infinity;
    for (const v of values) if (v > 0 && v < 1e299) { low = Math.min(low, v); high = Math.max(high, v); }
    if (low > high) { low = 1; high = 10; }
    low = Math.log10(low); high = Math.log10(high);
    if (high - low < least) { const middle = (low + high) / 2; low = middle - least / 2; high = middle + least / 2; }
    const pad = (high - low) * 0.06;
    return [low - pad, high + pad];
  }

  function layout() {
    const width = canvas.clientWidth, height = canvas.clientHeight, ratio = window.devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const [x0, x1] = range(dots.map(d => d.x), 1);
    const [y0, y1] = range(dots.map(d => d.y).concat(bounds.map(b => b.y)), 1);
    const clamp = (v, low, high) => Math.min(high, Math.max(low, v));
    scale = {
      ratio, width, height, x0, x1, y0, y1,
      // What is 0 or infinite stands at the edge.
      x: v => margin.left + (clamp(v > 0 ? Math.log10(v) : x0, x0, x1) - x0) / (x1 - x0) * (width - margin.left - margin.right),
      y: v => height - margin.bottom - (clamp(v > 0 ? Math.log10(v) : y0, y0, y1) - y0) / (y1 - y0) * (height - margin.top - margin.bottom),
    };
    // K takes few values: a little sideways scatter, the same at every drawing, keeps a column of dots apart.
    const jitter = i => options.binary ? ((i * 0.618034) % 1 - 0.5) * 16 : 0;
    dots.forEach((d, i) => { d.px = scale.x(d.x) + jitter(i); d.py = scale.y(d.y); });
  }

  function axes(c) {
    const {width, height, x0, x1, y0, y1} = scale;
    c.font = "12px system-ui, sans-serif";
    c.strokeStyle = colour("--grid");
    c.fillStyle = colour("--muted");
    c.lineWidth = 1;
    c.textAlign = "center";
    const tick = (v, horizontal, label) => {
      c.beginPath();
      if (horizontal) { const x = scale.x(v); c.moveTo(x, margin.top); c.lineTo(x, height - margin.bottom); c.stroke(); c.fillText(label, x, height - margin.bottom + 17); }
      else { const y = scale.y(v); c.moveTo(margin.left, y); c.lineTo(width - margin.right, y); c.stroke(); c.fillText(label, margin.left - 8, y + 4); }
    };
    if (options.binary && (x1 - x0) / Math.log10(2) < 18) {  // K is nearly always a power of two
      const step = Math.max(1, Math.ceil((x1 - x0) / Math.log10(2) / Math.max(3, width / 80)));
      for (let e = Math.ceil(x0 / Math.log10(2)); e <= x1 / Math.log10(2); e += step) if (e >= 0) tick(2 ** e, true, String(2 ** e));
    } else {
      const step = Math.ceil((x1 - x0) / Math.max(3, width / 70));
      for (const e of decades(x0, x1)) if (e >= x0 && e <= x1 && e % step === 0) tick(10 ** e, true, power(e));
    }
    c.textAlign = "right";
    const step = Math.ceil((y1 - y0) / 8);
    const steps = y1 - y0 < 2.5 ? [1, 2, 5] : [1];  // two decades with a line a decade would be bare
    for (const e of decades(y0, y1)) for (const m of steps) {
      const v = m * 10 ** e, at = Math.log10(v);
      if (at >= y0 && at <= y1 && e % step === 0) tick(v, false, m === 1 ? power(e) : String(Number(v.toPrecision(1))));
    }
    c.textAlign = "center";
    c.fillText(options.xlabel, (margin.left + width - margin.right) / 2, height - 8);
    c.save();
    c.translate(14, (margin.top + height - margin.bottom) / 2);
    c.rotate(-Math.PI / 2);
    c.fillText(options.ylabel, 0, 0);
    c.restore();
  }

  function draw() {
    if (!scale) return;
    const c = canvas.getContext("2d");
    c.setTransform(scale.ratio, 0, 0, scale.ratio, 0, 0);
    c.clearRect(0, 0, scale.width, scale.height);
    axes(c);
    c.strokeStyle = colour("--bound");
    c.lineWidth = 2;
    for (const b of bounds) {
      const x = scale.x(b.x), y = scale.y(b.y);
      c.beginPath(); c.moveTo(x - 12, y); c.lineTo(x + 12, y); c.stroke();
    }
    const shades = [colour("--bound"), colour("--pass"), colour("--warn"), colour("--fail")];
    for (const d of dots) {  // sorted: the fails are drawn last, on top
      c.globalAlpha = d.verdict > 1 ? 0.95 : 0.45;
      c.fillStyle = shades[d.verdict];
      c.beginPath(); c.arc(d.px, d.py, d.verdict > 1 ? 4.5 : 3, 0, 7); c.fill();
    }
    c.globalAlpha = 1;
    if (hover) {
      c.strokeStyle = colour("--ink");
      c.lineWidth = 2;
      c.beginPath(); c.arc(hover.px, hover.py, 7, 0, 7); c.stroke();
    }
    if (!dots.length) { c.textAlign = "center"; c.fillStyle = colour("--muted"); c.fillText("no checked call", scale.width / 2, scale.height / 2); }
  }

  function nearest(event) {
    const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    let best = null, least = 18 * 18;
    for (const d of dots) {
      const distance = (d.px - x) ** 2 + (d.py - y) ** 2 - (d.verdict > 1 ? 20 : 0);
      if (distance < least) { least = distance; best = d; }
    }
    return best;
  }

  const show = event => {
    const found = nearest(event);
    if (found !== hover) { hover = found; draw(); }
    options.tip(found, event);
  };
  canvas.addEventListener("pointermove", show);
  canvas.addEventListener("pointerdown", show);
  canvas.addEventListener("pointerleave", () => { hover = null; draw(); options.tip(null); });
  const redraw = () => { layout(); draw(); };
  window.addEventListener("resize", redraw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  return (newDots, newBounds) => {
    dots = newDots.slice().sort((a, b) => a.verdict - b.verdict);
    bounds = newBounds;
    hover = null;
    redraw();
  };
}
