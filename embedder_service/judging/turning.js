"use strict";
for (const canvas of document.querySelectorAll("canvas[data-places]")) {
  const places = JSON.parse(canvas.dataset.places), atlas = new Image();
  const columns = +canvas.dataset.columns, side = +canvas.dataset.side, colours = JSON.parse(canvas.dataset.colours);
  let across = 0.6, down = 0.35, zoom = 1, from = null;

  function draw() {
    const scale = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = width * scale; canvas.height = height * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const [ca, sa, cd, sd] = [Math.cos(across), Math.sin(across), Math.cos(down), Math.sin(down)];
    const turned = places.map(([x, y, z], number) => {
      [x, y, z] = [x - .5, y - .5, z - .5];
      const nx = x * ca + z * sa, depth = z * ca - x * sa;
      return { number, x: nx, y: y * cd - depth * sd, z: depth * cd + y * sd };
    }).sort((one, other) => other.z - one.z);
    for (const { number, x, y, z } of turned) {
      const near = zoom * 1.9 / (2.2 + z), size = Math.max(8, width / 34 * near);
      const left = width / 2 + x * near * height - size / 2, top = height / 2 + y * near * height - size / 2;
      pen.globalAlpha = Math.min(1, Math.max(.35, .95 - .75 * z));
      if (colours[number]) {
        pen.fillStyle = colours[number];
        pen.fillRect(left - 2, top - 2, size + 4, size + 4);
      }
      pen.drawImage(atlas, number % columns * side, Math.floor(number / columns) * side, side, side, left, top, size, size);
    }
  }

  function turn(x, y) { across += x; down = Math.max(-1.5, Math.min(1.5, down + y)); requestAnimationFrame(draw); }
  canvas.addEventListener("pointerdown", event => { from = event; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", () => { from = null; });
  canvas.addEventListener("pointermove", event => {
    if (from) { turn((event.clientX - from.clientX) / 160, (event.clientY - from.clientY) / 160); from = event; }
  });
  canvas.addEventListener("keydown", event => {
    const step = { ArrowLeft: [-.1, 0], ArrowRight: [.1, 0], ArrowUp: [0, -.1], ArrowDown: [0, .1] }[event.key];
    if (step) { event.preventDefault(); turn(...step); }
    if (event.key === "+" || event.key === "-") { zoom = Math.max(.5, Math.min(4, zoom * (event.key === "+" ? 1.15 : .87))); requestAnimationFrame(draw); }
  });
  window.addEventListener("resize", draw);
  window.addEventListener("beforeprint", draw);
  atlas.onload = draw;
  atlas.src = canvas.dataset.atlas;
}
