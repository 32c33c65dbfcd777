"""The `airband` command: loads the module of a subcommand, runs it, and turns errors into exit codes.

Exit codes are those of presets.errors: 0 done; 1 other; 2 usage (an invalid knob, preset, model or path);
3 input; 4 output; 5 engine; 6 model; 7 render; 8 host; 130 cancelled. `airband doctor` exits 1 when something
is broken.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from importlib import import_module
from typing import Annotated

from bridge.loading import uncollected

try:
    with uncollected():
        import typer

        from bridge.cli.command import QuickGroup, take_over
        from bridge.wire.streams import open_closed_streams
        from presets.errors import AirbandError, OutputError, UsageError
        from presets.printable import printable
        from presets.version import VERSION
except KeyboardInterrupt:  # these imports take some tenths of a second
    sys.exit(130)

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
CODES = (
    "Exit codes: 0 done, 1 other, 2 usage, 3 input, 4 output, 5 engine, 6 model, 7 render, 8 DAW, "
    "130 cancelled."
)
MODULES = {
    "render": ("render",),
    "edit": ("edit",),
    "audacity": ("audacity",),
    "watch": ("watch",),
    "console": ("console",),
    "inspect": ("inspect",),
    "eval": ("eval",),
    "engine": ("status", "stop", "serve", "models", "farm", "train"),
    "jobs": ("jobs", "cancel", "prioritise", "forget"),
    "demo": ("demo",),
    "doctor": ("doctor",),
    "presets": ("presets",),
    "plugins": ("plugins",),
    "daw": ("daw",),
    "keys": ("keys",),
}
"""The modules of `bridge.cli`, in the order of the help, each with its commands."""


def command_line(asked: str = "") -> typer.Typer:
    """The `airband` command with the requested subcommand, or with all if none has that name.

    Loading all subcommands takes as long as connecting to a running engine.

    Args:
        asked: the first argument that is not an option.
    """
    app = typer.Typer(
        name="airband",
        cls=QuickGroup,
        help="Regenerates the missing band of audio, and keeps the low band the original's.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        epilog=CODES,
    )
    having = [module for module, commands in MODULES.items() if asked in commands]
    for module in having or MODULES:
        import_module(f"bridge.cli.{module}").register(app)
    take_over(app)
    app.callback()(airband)
    return app


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"airband {VERSION}")
        raise typer.Exit


def airband(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Regenerates the missing band of audio, and keeps the low band the original's."""


def main() -> None:
    """The entry point: runs the command; an error becomes one line and an exit code."""
    open_closed_streams()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # DAW scripts cancel with it
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup ignores it
        signal.signal(signal.SIGHUP, signal.default_int_handler)  # the terminal was closed
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # the encoding of a log may lack a character of a name
            stream.reconfigure(errors="backslashreplace")
    try:
        with uncollected():
            app = command_line(next((each for each in sys.argv[1:] if not each.startswith("-")), ""))
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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # flushing the rest would fail again
        print("airband: its output cannot be written: no room on disk", file=sys.stderr)
        sys.exit(OutputError.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _is_without_a_folder() -> bool:
    """Whether the current folder was deleted, so that no relative path works."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False
