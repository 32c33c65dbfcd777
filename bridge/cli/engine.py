"""Commands about the engine: show its status, stop it; and commands that the `engine` package runs itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NoReturn

import msgspec
import typer

from bridge.cli.options import Json, State
from bridge.client.client import Client
from bridge.client.vitals import folder_bytes, memory_mb
from bridge.wire.home import Connection, Home, find_home, is_running, read_connection, read_holder
from bridge.wire.stop_request import ask_to_stop
from presets.errors import EngineError

STOP_S, STOP_NOW_S = 30.0, 10.0
"""Seconds that `stop` waits for the current step to end, and `stop --now` for the process."""
WATCH_S = 1.0
LOOKS = 60
"""Over how many looks `status --watch` averages the rate of finished jobs."""

THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def register(app: typer.Typer) -> None:
    """Adds the commands to `app`."""
    app.command()(status)
    app.command()(stop)
    for name, told in ENGINE_COMMANDS.items():
        app.command(name, context_settings=THROUGH, help=told)(through)


ENGINE_COMMANDS = {
    "serve": "Run an engine here until it is told to stop.",
    "models": "List the models and get their weights.",
    "farm": "Render a manifest on a Ray cluster or another render farm.",
    "train": "Train a model, or fine-tune one.",
}


def through(context: typer.Context) -> NoReturn:
    """Replaces this process by `python -m engine COMMAND ...`, with the same arguments."""
    # -P: a folder named `engine` in the current folder is not ours.
    arguments = [sys.executable, "-P", "-m", "engine", str(context.info_name), *context.args]
    if sys.stdout is not None:  # None if the parent process closed it
        sys.stdout.flush()
    if os.name == "nt":  # there, exec returns to the shell at once
        sys.exit(subprocess.call(arguments))
    os.execv(sys.executable, arguments)


def status(
    state: State = None,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Repeat every second, until Ctrl-C.")] = False,
) -> None:
    """Show the engine's status; exits 5 if none runs.

    It tells how fast the engine answers, its jobs, its models, the memory of its processes and the spool's
    size.
    """
    home = find_home(state)
    looks: deque[tuple[float, int]] = deque(maxlen=LOOKS)
    with Client.connect(state=state, start=False) as client:
        while True:
            told = _status(home, client)
            looks.append((time.monotonic(), told["jobs"]["known"] - told["jobs"]["at_work"]))
            told["jobs"]["ended_a_minute"] = _a_minute(looks)
            if as_json:
                typer.echo(json.dumps(told))
            else:
                if watch and sys.stdout.isatty():
                    from rich.console import Console

                    Console().clear()
                typer.echo("\n".join(_status_lines(told)))
            if not watch:
                return
            time.sleep(WATCH_S)


def _status(home: Home, client: Client) -> dict[str, Any]:
    connection, unfinished = read_connection(home), client.jobs(None, unfinished=True)
    states = Counter(job.state for job in unfinished)
    pid = connection.pid if connection else 0
    return {
        "engine": connection.engine if connection else "",
        "pid": pid or None,
        "endpoint": connection.endpoint if connection else "",
        "state": str(home.state),
        "answer_ms": round(1000 * client.ping(), 2),
        "models": msgspec.to_builtins(client.models),
        "jobs": {
            "at_work": len(unfinished),
            "known": len(client.jobs(None)),
            **{name: states[name] for name in ("uploading", "queued", "running")},
        },
        "running": [
            {"job": job.job, "source": job.source, "stage": job.stage, "step": job.step, "of": job.of}
            for job in unfinished
            if job.state == "running"
        ],
        "memory_mb": {str(each): round(mb, 1) for each, mb in memory_mb(pid).items()},
        "spool_mb": round(folder_bytes(home.state / "spool") / 1e6, 1),
        "spool_quota_mb": round(connection.quota_bytes / 1e6, 1) if connection else 0.0,
    }


def _a_minute(looks: Sequence[tuple[float, int]]) -> float | None:
    """Jobs that end per minute, from the first look (s, jobs ended) to the last; None with one look."""
    (since_s, ended_then), (now_s, ended_now) = looks[0], looks[-1]
    return round(60 * max(0, ended_now - ended_then) / (now_s - since_s), 1) if len(looks) > 1 else None


def _status_lines(told: dict[str, Any]) -> Iterator[str]:
    jobs = told["jobs"]
    yield f"engine {told['engine']}, process {told['pid']}, at {told['endpoint']}"
    yield (
        f"answers in {told['answer_ms']} ms; {jobs['at_work']} jobs at work ({jobs['queued']} queued, "
        f"{jobs['running']} running, {jobs['uploading']} uploading), {jobs['known']} known"
        + (f"; {jobs['ended_a_minute']:.0f} end per minute" if jobs["ended_a_minute"] is not None else "")
    )
    for job in told["running"]:
        yield f"running {job['job']} {job['source']}: {job['stage']} {job['step']}/{job['of']}"
    memory = ", ".join(f"{mb:.0f} MB ({pid})" for pid, mb in told["memory_mb"].items())
    quota = f" of {told['spool_quota_mb']:.0f}" if told["spool_quota_mb"] else ""
    yield f"spool {told['spool_mb']:.0f}{quota} MB" + (f"; memory by process: {memory}" if memory else "")
    for model in told["models"]:
        yield f"model {model['name']}: {'ready on ' + model['device'] if model['ready'] else model['why']}"


def stop(
    state: State = None,
    now: Annotated[bool, typer.Option("--now", help="Do not wait for the window being rendered.")] = False,
    as_json: Json = False,
) -> None:
    """Stop the engine; the next one continues its jobs.

    It is stopped by its process number, if that is still the engine's, whether or not it can be reached; in
    another container or on another machine, through its state folder.
    """
    home = find_home(state)
    if not is_running(home):
        typer.echo(json.dumps({"stopped": False, "pid": None}) if as_json else "no engine is running")
        return
    holder = _holder(home)
    is_here = holder.is_alive_here or not holder.birth
    if is_here:
        # Two different signals, since two of the same kind in quick succession may arrive as one.
        for number in (signal.SIGTERM, signal.SIGINT)[: 2 if now else 1]:
            os.kill(holder.pid, number)
    else:
        ask_to_stop(home, now=now)
    if not _is_gone(home, STOP_NOW_S if now else STOP_S):
        if not now:
            raise EngineError(
                f"the engine is still at work after {STOP_S:.0f} s; `airband stop --now` ends it at once"
            )
        if not is_here:
            raise EngineError(
                f"{home.state} is held by engine {holder.pid} on {holder.host}, which is not a process of "
                "this machine or container and does not do as it is asked; stop it there"
            )
        os.kill(holder.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        if not _is_gone(home, STOP_NOW_S):
            raise EngineError(f"process {holder.pid} does not end, not even when it is killed")
    home.stop_request.unlink(missing_ok=True)
    typer.echo(
        json.dumps({"stopped": True, "pid": holder.pid}) if as_json else f"engine {holder.pid} has ended"
    )


def _holder(home: Home) -> Connection:
    """The process that holds the state folder, as its lock file names it; EngineError if that names none."""
    holder = read_holder(home)
    if holder is None:
        raise EngineError(
            f"an engine holds {home.state} but does not say which process it is; end the one that has "
            f"{home.lock} open"
        )
    return holder


def _is_gone(home: Home, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while is_running(home):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
