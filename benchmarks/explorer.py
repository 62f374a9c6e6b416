"""From a click on a filter to the new figure on the screen, in JupyterLab and Voilà.

Run it with ``python benchmarks/explorer.py``. The results are the synthetic shift study, repeated
with new ids and new participants until there are enough. A real headless Chromium clicks an arm
in the filter, on and off, again and again; the clock in the browser stops when the new picture was
decoded and two frames were painted. The processor time that one change costs the kernel stands
beside it: unlike the clock it does not depend on what else the machine is doing.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import ipywidgets
import pandas as pd
from playwright.sync_api import Page
from support.notebook_page import opened, served, write_notebook

from helios_research.widgets import Explorer

STUDY = Path(__file__).parents[1] / "datasets" / "shift_study_results.parquet"
TARGETS_MS = {10_000: 200, 100_000: 300}
CHANGES = 15

SOURCE = """from helios_research.widgets import Explorer
explorer = Explorer({path!r})
explorer"""

CHANGE = """async () => {
  const place = document.querySelector(".helios-figure");
  const before = place.querySelector("img").src;
  const start = performance.now();
  document.querySelector("button.helios-level").click();
  await new Promise(done => {
    const look = () => {
      const picture = place.querySelector("img");
      if (picture && picture.src !== before) { watch.disconnect(); done(); }
    };
    const watch = new MutationObserver(look);
    watch.observe(place, {subtree: true, childList: true, attributes: true});
  });
  await place.querySelector("img").decode();
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  return performance.now() - start;
}"""


def many_results(rows: int) -> pd.DataFrame:
    """Repeat the study with new recordings and participants."""
    study = pd.read_parquet(STUDY)
    copies = [
        study.assign(
            recording_id=study["recording_id"] + f"_{copy}",
            user_label=study["user_label"] + f"_{copy}",
        )
        for copy in range(rows // len(study) + 1)
    ]
    return pd.concat(copies, ignore_index=True).head(rows)


def measure(page: Page) -> list[float]:
    """Change the filter so many times, and give the milliseconds of each."""
    page.wait_for_selector(".helios-figure img")
    page.wait_for_timeout(3000)
    taken = []
    for _ in range(CHANGES + 1):
        taken.append(page.evaluate(CHANGE))
        # Table and code come after the figure; the next change begins when all is quiet.
        page.wait_for_timeout(1200)
    return taken[1:]


def levels(widget: ipywidgets.Widget) -> Any:
    """Find the values of the filter inside an explorer."""
    if 'data-click="level:' in str(getattr(widget, "value", "")):
        return widget
    found = (levels(child) for child in getattr(widget, "children", ()))
    return next((each for each in found if each is not None), None)


def processor_ms(results: pd.DataFrame) -> float:
    """Change the filter without a browser; the median of the milliseconds of processor time."""
    explorer = Explorer(results)
    values = levels(explorer.widget)
    taken = []
    for _ in range(CHANGES):
        start = time.process_time()
        values.click("level:0")
        taken.append(1000 * (time.process_time() - start))
    explorer.close()
    return statistics.median(taken)


def main() -> None:
    """Print a line per front end and number of results."""
    print(f"milliseconds, {CHANGES} changes; load of the machine {os.getloadavg()[0]:.1f}")
    for rows, target in TARGETS_MS.items():
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            results = many_results(rows)
            results.to_parquet(home / "results.parquet")
            print(f"{rows:>7,} results: {processor_ms(results):.0f} ms of processor time a change")
            write_notebook(home / "bench.ipynb", SOURCE.format(path=str(home / "results.parquet")))
            for front_end in ("lab", "voila"):
                with served(front_end, home) as address, opened(address) as page:
                    taken = measure(page)
                middle = statistics.median(taken)
                print(
                    f"{rows:>7,} results, {front_end:<5}: median {middle:4.0f}, "
                    f"least {min(taken):4.0f}, most {max(taken):4.0f} (target {target})"
                )


if __name__ == "__main__":
    main()
