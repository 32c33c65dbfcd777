"""Commands about jobs: list, cancel or reprioritise them, and drop those that have ended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Annotated

import msgspec
import typer

from bridge.cli.options import Json, State
from bridge.client.client import Client
from bridge.wire.messages import FINAL, JobStatus
from presets.errors import AirbandError, EngineError

Names = Annotated[
    list[str], typer.Argument(metavar="JOB", help="From `airband jobs`; `all` for all that apply.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands to `app`."""
    for command in (jobs, cancel, prioritise, forget):
        # So that -3 is taken as a priority, not as an option.
        app.command(context_settings={"ignore_unknown_options": command is prioritise})(command)


def jobs(
    state: State = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="List at most N, newest first.")] = 20,
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


def cancel(names: Names, state: State = None, as_json: Json = False) -> None:
    """Cancel jobs; a running one stops at once."""
    with Client.connect(state=state, start=False) as client:
        if names == ["all"]:
            names = [job.job for job in client.jobs(None, unfinished=True)]
        _each(names, client.cancel, as_json)


def prioritise(
    priority: Annotated[int, typer.Argument(metavar="N", min=-9, max=9, help="Higher goes first.")],
    names: Names,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Give jobs that have not ended another priority."""
    with Client.connect(state=state, start=False) as client:
        if names == ["all"]:
            names = [job.job for job in client.jobs(None, unfinished=True)]
        _each(names, lambda job: client.prioritise(job, priority), as_json)


def forget(names: Names, state: State = None, as_json: Json = False) -> None:
    """Drop ended jobs, with their results in the engine."""
    with Client.connect(state=state, start=False) as client:
        if names == ["all"]:
            names = [job.job for job in client.jobs(None) if job.state in FINAL]

        def drop(job: str) -> str:
            client.forget(job)
            return "forgotten"

        _each(names, drop, as_json)


def _each(names: list[str], work: Callable[[str], str], as_json: bool) -> None:
    """Applies `work` to each job and prints the outcome; exits 2 if any job was refused."""
    if not names and not as_json:
        typer.echo("no job that this applies to")
    failures = 0
    for name in names:
        try:
            done = work(name)
        except EngineError:
            raise
        except AirbandError as error:
            failures += 1
            if as_json:
                typer.echo(json.dumps({"job": name, "code": error.code, "message": error.message}))
            else:
                typer.echo(f"{name}: {error.message}", err=True)
        else:
            typer.echo(json.dumps({"job": name, "state": done}) if as_json else f"{name}: {done}")
    if failures:
        raise typer.Exit(2)


def _how_far(job: JobStatus) -> str:
    if job.state == "running" and job.of:
        return f"{job.stage} {job.step}/{job.of}"
    return f"{job.code}: {job.message}" if job.code else ""
