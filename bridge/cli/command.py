"""The classes of what is on the way to every render: what needs no conversion is not converted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup


class _Quick:
    """A command as Typer makes it, but for what is left out, or is a text, a path or a list of texts.

    Typer sends every parameter through Pydantic, typed or not; to load that and build its validators takes a
    quarter of all that a command does before it speaks to the engine. Paths are taken as they are typed.
    """

    def get_params(self, context: Any) -> list[Any]:
        """See `click.Command.get_params`."""
        parameters: list[Any] = super().get_params(context)  # type: ignore[misc]
        for parameter in parameters:
            if "process_value" not in vars(parameter):
                parameter.process_value = _Value(parameter)
        return parameters


class QuickCommand(_Quick, TyperCommand):
    """A command, see above."""


class QuickGroup(_Quick, TyperGroup):
    """A group of commands, see above."""


class _Value:
    """What `process_value` of a parameter is called with and gives back."""

    def __init__(self, parameter: Any) -> None:
        self._parameter, self._convert = parameter, parameter.process_value
        described = getattr(parameter, "type_descriptor", None)  # of versions of Typer that load Pydantic
        self._wanted = getattr(described, "annotation", None)

    def __call__(self, context: Any, value: Any) -> Any:
        parameter, wanted = self._parameter, self._wanted
        if wanted is Path and isinstance(value, str):
            value = Path(value)
        elif wanted == list[str] and value and all(isinstance(each, str) for each in value):
            value = list(value)
        elif value is None:
            if parameter.required or wanted is None:
                return self._convert(context, value)
        elif wanted not in (str, bool, int) or not isinstance(value, wanted):
            return self._convert(context, value)
        return value if parameter.callback is None else parameter.callback(context, parameter, value)
