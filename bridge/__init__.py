"""Everything outside the engine: wire, client, rack, batch, command line, DAW scripts. No torch.

    from bridge import Client

    with Client.connect() as client:
        result = client.submit((samples, 22050), "music").wait()
        result.audio, result.rate

| name | what it is |
|---|---|
| `Client` | a connection to an engine, which it starts where none runs |
| `Job`, `Result` | a submitted render, and its result |
| `Progress` | one step of a job, as `Job.progress` gives them |
| `Rack` | a list of Pedalboard effects and of the stages below, called like a Pedalboard |
| `SuperResolution`, `External` | stages of a rack: the missing band; a plugin in a process of its own |
| `Renderer` | what `Client` and `engine.local.LocalRenderer` have in common |

Errors are those of `presets.errors`. Each name is imported on first use, so that a program that needs only
the protocol does not load the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.client.client import Client
    from bridge.client.job import Job, Result
    from bridge.client.renderer import Renderer
    from bridge.rack.rack import Rack
    from bridge.rack.stages import External, SuperResolution
    from bridge.wire.messages import Progress

__all__ = ["Client", "External", "Job", "Progress", "Rack", "Renderer", "Result", "SuperResolution"]

_HOMES = {
    "Client": "bridge.client.client",
    "External": "bridge.rack.stages",
    "Job": "bridge.client.job",
    "Progress": "bridge.wire.messages",
    "Rack": "bridge.rack.rack",
    "Renderer": "bridge.client.renderer",
    "Result": "bridge.client.job",
    "SuperResolution": "bridge.rack.rack",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
