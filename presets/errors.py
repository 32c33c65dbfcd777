"""Every error Airband raises on purpose.

AirbandError
├── UsageError            what was asked for makes no sense: a knob, a preset, a model, a range
│   └── PresetError       a preset file that does not parse or names an unknown knob
├── InputError            the source cannot be read or is not audio we can render
├── OutputError           the destination is refused: exists, no room, no permission, would clip
│   └── StoreFullError    the engine's disk has no room for a change of its jobs
├── EngineError           the engine cannot be reached, started or spoken to
│   ├── VersionError      the engine speaks another protocol
│   ├── BusyError         the engine's job or disk quota is reached; carries `retry_s`
│   └── WireError         a message that breaks the protocol
├── ModelError            weights that are missing, truncated, or of another shape
├── RenderError           the render itself failed
│   ├── WorkerCrashed     the worker process died twice on this job
│   └── PluginError       an external plugin crashed, hung, or answered nonsense
├── HostError             a DAW that cannot be reached, or that does not do what it was told
└── Cancelled             the job was cancelled; not a failure

Each class has a `code` (what travels on the wire) and an `exit_code` (what the command line returns).
"""

from __future__ import annotations


class AirbandError(Exception):
    """Root of the tree. The message names the value, the limit and the way out.

    Args:
        message: one sentence for the user.
        field: the knob, file or wire field the error is about, when there is one.
    """

    code = "error"
    exit_code = 1

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class UsageError(AirbandError):
    """A knob, preset name, model name or range that cannot be honoured."""

    code = "usage"
    exit_code = 2


class PresetError(UsageError):
    """A preset file that does not parse, or holds a key or value the schema refuses."""

    code = "preset"


class InputError(AirbandError):
    """The source is unreadable, empty, truncated, not finite, or outside the limits."""

    code = "input"
    exit_code = 3


class OutputError(AirbandError):
    """The destination exists, cannot be written, or would clip."""

    code = "output"
    exit_code = 4


class StoreFullError(OutputError):
    """The disk has no room for a change of the engine's jobs; no part of the change was made."""

    code = "store_full"


class EngineError(AirbandError):
    """The engine cannot be reached, started, or is shutting down."""

    code = "engine"
    exit_code = 5


class VersionError(EngineError):
    """Client and engine speak different protocols."""

    code = "version"


class BusyError(EngineError):
    """The engine takes no more work for now.

    Args:
        retry_s: seconds after which asking again makes sense.
    """

    code = "busy"

    def __init__(self, message: str, field: str | None = None, retry_s: float = 1.0) -> None:
        super().__init__(message, field)
        self.retry_s = retry_s


class WireError(EngineError):
    """A message that is malformed, over a limit, or out of turn."""

    code = "wire"


class ModelError(AirbandError):
    """Weights that are missing, truncated or of the wrong shape."""

    code = "model"
    exit_code = 6


class RenderError(AirbandError):
    """The render failed."""

    code = "render"
    exit_code = 7


class WorkerCrashed(RenderError):
    """The worker process died on this job, twice."""

    code = "worker_crashed"


class PluginError(RenderError):
    """An external plugin crashed, hung or returned something that is not audio."""

    code = "plugin"


class HostError(AirbandError):
    """A DAW that cannot be reached, or that does not do what it was told."""

    code = "host"
    exit_code = 8


class Cancelled(AirbandError):
    """The job was cancelled on request."""

    code = "cancelled"
    exit_code = 130


def error_class(code: str) -> type[AirbandError]:
    """The class with this `code`, or AirbandError when the code is unknown (a newer engine's)."""
    stack: list[type[AirbandError]] = [AirbandError]
    while stack:
        cls = stack.pop()
        if cls.code == code:
            return cls
        stack.extend(cls.__subclasses__())
    return AirbandError
