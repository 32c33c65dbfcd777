"""Whether a job submitted under a known name is that known job."""

from __future__ import annotations

import msgspec

from bridge.wire.messages import Submit


def is_same(known: Submit | None, submit: Submit) -> bool:
    """Whether two submits request the same stem at the same place, whatever their presets are called."""
    return known is not None and _asked(known) == _asked(submit)


def _asked(submit: Submit) -> Submit:
    params = msgspec.structs.replace(submit.params, description="")
    return msgspec.structs.replace(submit, params=params, preset="music", priority=0)
