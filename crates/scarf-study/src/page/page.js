"use strict";
// Tables sort by the column whose head is clicked; numbers begin with the largest.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const value = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.sort ?? cell.textContent.trim();
    const number = Number.parseFloat(text);
    return heads[column].dataset.kind === "text" || Number.isNaN(number) ? text : number;
  };
  heads.forEach((head, column) => {
    head.tabIndex = 0;
    const sort = () => {
      const text = head.dataset.kind === "text";
      const before = head.getAttribute("aria-sort");
      const up = before ? before === "descending" : text;
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
        return up ? order : -order;
      });
      body.append(...rows);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        sort();
      }
    });
  });
}
// Detections fainter than the slider are hidden, and with the box ticked all but the best k, k the true boxes.
const score = document.getElementById("score");
if (score) {
  const topk = document.getElementById("topk");
  const show = () => {
    const least = Number(score.value) / 100;
    document.getElementById("least").textContent = score.value + " %";
    for (const panel of document.querySelectorAll(".panel")) {
      const k = topk.checked ? Number(panel.dataset.truths) : Infinity;
      for (const box of panel.querySelectorAll("[data-score]")) {
        box.classList.toggle("off", Number(box.dataset.score) < least || Number(box.dataset.rank) >= k);
      }
    }
  };
  score.addEventListener("input", show);
  topk.addEventListener("input", show);
  show();
}
