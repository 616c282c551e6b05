"""Run the benchmarks one after the other: python -m benchmarks [NAME ...]

Each runs in a process of its own, since threads and caches of one would change the figures of the next. A name that is
left out means every module of the folder, in alphabetical order.
"""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def names() -> list[str]:
    """The benchmarks: every module of the folder that can be run."""
    found = [m.name for m in pkgutil.iter_modules([str(FOLDER)]) if not m.name.startswith("_")]
    return sorted(n for n in found if '__name__ == "__main__"' in (FOLDER / f"{n}.py").read_text(encoding="utf-8"))


def main(chosen: list[str]) -> int:
    """Run the benchmarks named, or all; the exit status says whether each kept its bounds."""
    known = names()
    if unknown := [n for n in chosen if n not in known]:
        print(f"no benchmark is called {unknown[0]}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    failed = []
    for name in chosen or known:
        print(f"== {name}", flush=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=FOLDER.parent, env=environment).returncode:
            failed.append(name)
    print(f"beyond their bounds: {', '.join(failed)}" if failed else "all within their bounds")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
