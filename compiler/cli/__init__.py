"""The command line: `ranvier build`, `run`, `eval`, `opt`, `inspect`, ... (`ranvier --help`)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ranvier.cli.failure import INTERNAL, exit_code, internal_failure, render


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 when it worked, 2 for what the user can mend, 1 for a fault of Ranvier.

    `--traceback` may stand anywhere and shows where in the code an error arose.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    words = [word for word in given if word != "--traceback"]
    from ranvier.ir.diagnostics import RanvierError

    try:
        from ranvier.cli.app import app

        app(args=words, prog_name="ranvier")
    except SystemExit:
        raise
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our stdout went away (`ranvier ops | head`); Python would complain again when it flushes.
        sys.stdout = None
        sys.exit(0)
    except RanvierError as why:
        if "--traceback" in given:
            raise
        print(render(why), file=sys.stderr)
        sys.exit(exit_code(why))
    except Exception as why:
        if "--traceback" in given:
            raise
        print(internal_failure(why, words), file=sys.stderr)
        sys.exit(INTERNAL)
