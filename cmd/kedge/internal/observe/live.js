"use strict";
// Keeps the page current: asks for the part that changes, and puts in what has
// changed of it. What is selected is left alone, so that it can be copied.
(() => {
  const main = document.getElementById("main");
  const connection = document.getElementById("connection");
  const updated = document.getElementById("updated");
  let ended = false, seen = new Date();

  const say = (words) => {
    connection.textContent = words;
    connection.hidden = words === "";
  };
  const selecting = (element) => {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && element.contains(selection.anchorNode);
  };
  const show = (html) => {
    const next = new DOMParser().parseFromString(html, "text/html").getElementById("live");
    const live = document.getElementById("live");
    if (!next || !live) throw new Error("no live part");
    for (const section of next.querySelectorAll("section")) {
      const old = document.getElementById(section.id);
      if (!old.isEqualNode(section) && !selecting(old)) {
        const left = Array.from(old.querySelectorAll(".scroll"), (e) => e.scrollLeft);
        old.replaceWith(section);
        section.querySelectorAll(".scroll").forEach((e, i) => { e.scrollLeft = left[i] || 0; });
      }
    }
    Object.assign(live.dataset, next.dataset);
    document.title = next.dataset.title;
    ended = next.dataset.ended === "true";
    seen = new Date();
    updated.textContent = "Seen at " + seen.toLocaleTimeString() + ".";
    say(ended ? "The run is over, and so is this page's connection: what it shows is how the run ended." : "");
  };
  const ask = async (path, patience) => {
    const answer = await fetch(path, { cache: "no-store", signal: patience ? AbortSignal.timeout(patience) : undefined });
    if (!answer.ok) throw new Error("status " + answer.status);
    show(await answer.text());
  };
  // The plots' points lie ever further apart: no need to ask more often.
  const pause = () => {
    const elapsed = Number(document.getElementById("live").dataset.elapsed);
    return Math.min(10000, Math.max(1000, elapsed * 1000 / 600));
  };
  const follow = async () => {
    if (ended) return;
    if (!document.hidden) {
      try {
        await ask("live", 10000);
      } catch {
        if (!ended) say("Connection lost. What is shown is of " + seen.toLocaleTimeString() + "; trying again. (It also ends when the run ends.)");
      }
    }
    if (!ended) setTimeout(follow, pause());
  };
  // The answer to this comes at the run's end, when the server is about to go.
  const end = async () => {
    try {
      await ask("end");
    } catch {
      if (!ended) setTimeout(end, 5000);
    }
  };
  if (document.getElementById("live").dataset.ended !== "true") {
    follow();
    end();
  }
})();
