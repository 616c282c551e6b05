"""The pages of docs/ that are made from declarations are those that the declarations make."""

import subprocess
import sys

from tests.docs.blocks import ROOT


def test_made_pages_are_up_to_date():
    # In a process of its own: other tests declare ops, passes and kinds of errors.
    run = subprocess.run([sys.executable, "tools/make_docs.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
