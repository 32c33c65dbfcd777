"""Whether a job that is submitted under a known name is the one that is known."""

from __future__ import annotations

import msgspec

from bridge.wire.messages import Submit


def is_same(known: Submit | None, submit: Submit) -> bool:
    """Whether two submits ask for the same stem in the same place, whatever their presets are called."""
    return known is not None and _asked(known) == _asked(submit)


def _asked(submit: Submit) -> Submit:
    params = msgspec.structs.replace(submit.params, description="")
    return msgspec.structs.replace(submit, params=params, preset="music", priority=0)
