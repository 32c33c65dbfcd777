"""Everything outside the engine: wire, client, rack, batch, command line, DAW scripts. No torch.

    from bridge import Client

    with Client.connect() as client:
        result = client.submit((samples, 22050), "music").wait()
        result.audio, result.rate

The names below are imported when they are first used: what needs only the protocol pays for nothing else.
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
