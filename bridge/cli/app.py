"""The `airband` command: what each subcommand takes, and which part of the house does it.

Exit codes are those of presets.errors: 0 done; 1 other; 2 usage (a knob, preset, model or path that makes no
sense); 3 input; 4 output; 5 engine; 6 model; 7 render; 8 host; 130 cancelled. `airband doctor` exits
1 when something is broken.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from typing import Annotated

try:
    import typer

    from bridge.cli import (
        audacity,
        console,
        daw,
        demo,
        doctor,
        edit,
        engine,
        eval,
        inspect,
        keys,
        plugins,
        presets,
        render,
        watch,
    )
    from bridge.cli.command import QuickGroup
    from presets.errors import AirbandError, OutputError, UsageError
    from presets.printable import printable
    from presets.version import VERSION
except KeyboardInterrupt:  # to load all this takes some tenths of a second
    sys.exit(130)

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
app = typer.Typer(
    name="airband",
    cls=QuickGroup,
    help="Regenerates the missing band of audio, and keeps the low band the original's.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="0 done, 1 other, 2 usage, 3 input, 4 output, 5 engine, 6 model, 7 render, 8 DAW, 130 cancelled.",
)
render.register(app)
edit.register(app)
audacity.register(app)
watch.register(app)
console.register(app)
inspect.register(app)
eval.register(app)
engine.register(app)
demo.register(app)
doctor.register(app)
app.add_typer(presets.app, name="presets")
app.add_typer(plugins.app, name="plugins")
app.add_typer(daw.app, name="daw")
app.add_typer(keys.app, name="keys")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"airband {VERSION}")
        raise typer.Exit


@app.callback()
def airband(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Regenerates the missing band of audio, and keeps the low band the original's."""


def main() -> None:
    """The entry point: runs the command and turns errors into a line and an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a DAW's script cancels with it
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a log's encoding may lack a character of a name
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except AirbandError as error:
        print(f"airband: {printable(error.message)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if _is_without_a_folder():
            print("airband: the folder you are in was deleted; change to one that exists", file=sys.stderr)
            sys.exit(UsageError.exit_code)
        if error.errno not in NO_ROOM or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left would fail again
        print("airband: what it prints cannot be written: no room on disk", file=sys.stderr)
        sys.exit(OutputError.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _is_without_a_folder() -> bool:
    """Whether the current folder is gone: no relative path means anything then."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False
