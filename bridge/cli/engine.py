"""Commands about the engine: look at it, call jobs off, end it; and those that the engine does itself."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from bridge.client.client import Client
from bridge.wire.home import Home, find_home, is_running, read_connection
from bridge.wire.messages import FINAL, JobId, JobStatus
from presets.errors import AirbandError, EngineError, UsageError

STOP_S = 30.0
"""How long `stop` waits for the step under way to end."""

State = Annotated[
    Path | None,
    typer.Option("--state", metavar="DIR", help="The engine's state folder."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def register(app: typer.Typer) -> None:
    """Adds the commands to `app`."""
    for command in (status, jobs, cancel, stop):
        app.command()(command)
    for name, told in ENGINE_COMMANDS.items():
        app.command(name, context_settings=THROUGH, help=told)(through)


ENGINE_COMMANDS = {
    "serve": "Run an engine here until it is told to stop (see `airband serve --help`).",
    "models": "List the models and get their weights (see `airband models --help`).",
    "train": "Train a model (see `airband train --help`).",
}


def through(context: typer.Context) -> NoReturn:
    """Becomes `python -m engine COMMAND ...`, with the arguments as they are."""
    # -P: a folder called engine where the user happens to be is not ours.
    arguments = [sys.executable, "-P", "-m", "engine", str(context.info_name), *context.args]
    sys.stdout.flush()
    if os.name == "nt":  # exec there returns to the shell at once
        import subprocess

        sys.exit(subprocess.call(arguments))
    os.execv(sys.executable, arguments)


def status(state: State = None, as_json: Json = False) -> None:
    """Say whether an engine runs, how fast it answers, what it has and is at; exits 5 if none runs."""
    home = find_home(state)
    with Client.connect(state=state, start=False) as client:
        connection, listed = read_connection(home), client.jobs()
        at_work = [job for job in listed if job.state not in FINAL]
        told = {
            "engine": connection.engine if connection else "",
            "pid": connection.pid if connection else None,
            "endpoint": connection.endpoint if connection else "",
            "state": str(home.state),
            "answer_ms": round(1000 * client.ping(), 2),
            "models": msgspec.to_builtins(client.models),
            "jobs": {"at_work": len(at_work), "known": len(listed)},
        }
    if as_json:
        typer.echo(json.dumps(told))
        return
    typer.echo(f"engine {told['engine']}, process {told['pid']}, at {told['endpoint']}")
    typer.echo(f"answers in {told['answer_ms']} ms; {len(at_work)} jobs at work, {len(listed)} known")
    for model in client.models:
        typer.echo(f"model {model.name}: {'ready on ' + model.device if model.ready else model.why}")


def jobs(
    state: State = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List the engine's jobs, newest first."""
    with Client.connect(state=state, start=False) as client:
        listed = client.jobs(limit)
    if as_json:
        for job in listed:
            typer.echo(json.dumps(msgspec.to_builtins(job)))
        return
    for job in listed:
        age_s = time.time() - job.created_s
        typer.echo(
            f"{job.job}  {job.state:9} {age_s:6.0f} s ago  {job.preset:10} {job.source}  {_how_far(job)}"
        )


def cancel(
    names: Annotated[list[str], typer.Argument(metavar="JOB...", help="From `airband jobs`; `all` for all.")],
    state: State = None,
    as_json: Json = False,
) -> None:
    """Cancel jobs; what runs stops within one step."""
    with Client.connect(state=state, start=False) as client:
        if names == ["all"]:
            names = [job.job for job in client.jobs() if job.state not in FINAL]
        failures = 0
        for name in names:
            try:
                ended = client.cancel(_job(name))
                typer.echo(json.dumps({"job": name, "state": ended}) if as_json else f"{name}: {ended}")
            except EngineError:
                raise
            except AirbandError as error:
                failures += 1
                if as_json:
                    typer.echo(json.dumps({"job": name, "code": error.code, "message": error.message}))
                else:
                    typer.echo(f"{name}: {error.message}", err=True)
    if failures:
        raise typer.Exit(2)


def stop(
    state: State = None,
    now: Annotated[bool, typer.Option("--now", help="Do not wait for the window being rendered.")] = False,
    as_json: Json = False,
) -> None:
    """End the engine; queued and running jobs continue with the next one."""
    home = find_home(state)
    if not is_running(home):
        typer.echo(json.dumps({"stopped": False, "pid": None}) if as_json else "no engine is running")
        return
    connection = read_connection(home)
    if connection is None:
        raise EngineError(f"an engine holds {home.state} but has not come up yet; try again")
    # Two kinds of signal: of one kind, two that come close together arrive as one.
    for number in (signal.SIGTERM, signal.SIGINT)[: 2 if now else 1]:
        os.kill(connection.pid, number)
    _wait_until_gone(home)
    told = {"stopped": True, "pid": connection.pid}
    typer.echo(json.dumps(told) if as_json else f"engine {connection.pid} has ended")


def _wait_until_gone(home: Home) -> None:
    until = time.monotonic() + STOP_S
    while is_running(home):
        if time.monotonic() > until:
            raise EngineError(
                f"the engine is still at work after {STOP_S:.0f} s; `airband stop --now` ends it at once"
            )
        time.sleep(0.05)


def _job(name: str) -> str:
    try:
        return msgspec.convert(name, JobId)
    except msgspec.ValidationError:
        raise UsageError("not a job's name; `airband jobs` lists them", "job") from None


def _how_far(job: JobStatus) -> str:
    if job.state == "running" and job.of:
        return f"{job.stage} {job.step}/{job.of}"
    return f"{job.code}: {job.message}" if job.code else ""
