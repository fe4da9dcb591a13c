// The maze view: every candidate's way at every denoising step, then the one that was driven.
const SPACE = "http://www.w3.org/2000/svg";

function part(name, attributes) {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Rows run down, columns to the right; a cell's middle is its whole number.
const line = (places) => places.map(([row, column]) => `${(column + 0.5).toFixed(3)},${(row + 0.5).toFixed(3)}`).join(" ");

export function showMaze(at, make, ask, say) {
  let told = null, playing = 0;

  function draw() {
    const slider = at("maze-step"), step = Number(slider.value), last = told.frames.length;
    const high = told.walls.length, wide = told.walls[0].length;
    const done = step > last;
    const text = done ? "driven" : `step ${step} of ${last}`;
    const outcome = told.reached ? `the goal is reached at environment step ${told.arrival} of ${told.env_steps}` : "the goal is not reached";
    const svg = part("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": `Maze ${told.maze}, ${text}; ${outcome}.` });
    svg.append(part("rect", { class: "floor", width: wide, height: high }));
    svg.append(part("circle", { class: "goal", cx: told.goal[1] + 0.5, cy: told.goal[0] + 0.5, r: 0.4 }));
    told.walls.forEach((row, i) => row.forEach((wall, j) => {
      if (wall) svg.append(part("rect", { class: "wall", x: j, y: i, width: 1.01, height: 1.01 }));
    }));
    told.frames[Math.min(step, last) - 1].forEach((way, index) => {
      svg.append(part("polyline", { class: index === told.candidate ? "way chosen" : "way", points: line(way) }));
    });
    if (done) svg.append(part("polyline", { class: "driven", points: line(told.driven) }));
    svg.append(part("circle", { class: "start", cx: told.start[1] + 0.5, cy: told.start[0] + 0.5, r: 0.16 }));
    at("drawing").replaceChildren(svg);
    at("maze-text").textContent = text;
    slider.setAttribute("aria-valuetext", text);
  }

  function halt() {
    clearInterval(playing);
    playing = 0;
    at("maze-play").textContent = "Replay";
  }

  function replay() {
    if (playing) return halt();
    const slider = at("maze-step");
    if (slider.value === slider.max) slider.value = 1;
    draw();
    at("maze-play").textContent = "Pause";
    playing = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      if (slider.value === slider.max) halt();
      draw();
    }, 450);
  }

  at("plan").addEventListener("submit", async (event) => {
    event.preventDefault();
    halt();
    say("Planning …");
    const body = { maze: at("layout").value, start: at("start").value, candidates: Number(at("plans").value), steps: Number(at("plan-steps").value), seed: Number(at("plan-seed").value) };
    if (at("goal").value.trim()) body.goal = at("goal").value;
    try {
      told = await (await ask("/v1/agd/plan", body)).json();
      Object.assign(at("maze-step"), { min: 1, max: told.frames.length + 1, value: 1, disabled: false });
      at("maze-play").disabled = false;
      say(told.reached ? `Arrives at environment step ${told.arrival} of ${told.env_steps}.` : `Not reached in ${told.env_steps} environment steps.`);
      replay();
    } catch (problem) {
      say(problem.message, true);
    }
  });
  at("maze-step").addEventListener("input", () => { halt(); draw(); });
  at("maze-play").addEventListener("click", replay);
}
