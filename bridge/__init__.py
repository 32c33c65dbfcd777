"""Everything outside the engine: wire, client, rack, batch, command line, DAW scripts. No torch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.rack import Rack, SuperResolution

__all__ = ["Rack", "SuperResolution"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'bridge' has no attribute {name!r}")
    from bridge import rack  # when asked for: the command line does without numpy

    return getattr(rack, name)
