"""The classes of all commands: they start fast, and name the allowed values in errors."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class _Quick:
    """A Typer command that passes texts, paths, lists of texts and missing values on without Pydantic.

    Typer sends every parameter through Pydantic, whatever its type. Loading that and building its validators
    takes a quarter of a command's time before it speaks to the engine. Paths are used as typed.
    """

    def get_params(self, context: Any) -> list[Any]:
        """See `click.Command.get_params`."""
        parameters: list[Any] = super().get_params(context)  # type: ignore[misc]
        for parameter in parameters:
            if "process_value" not in vars(parameter):
                parameter.process_value = _Value(parameter)
            if parameter.param_type_name == "argument":
                parameter.display_type_rich = _untyped  # its name is enough; `list[str]` says nothing
        return parameters


class QuickCommand(_Quick, TyperCommand):
    """A command; see `_Quick`."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """See `click.Command.format_options`; options with a panel of their own come last."""
        sections: dict[str, list[Any]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(parameter.rich_help_panel or usual, []).append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class QuickGroup(_Quick, TyperGroup):
    """A group of commands; see `_Quick`."""


def take_over(app: typer.Typer) -> None:
    """Gives all commands of an app and of its groups the classes above."""
    for command in app.registered_commands:
        command.cls = QuickCommand
    for group in app.registered_groups:
        group.cls = QuickGroup
        if group.typer_instance is not None:
            take_over(group.typer_instance)


def _untyped(ctx: Any) -> str:
    return ""


class _Value:
    """Replaces a parameter's `process_value`."""

    def __init__(self, parameter: Any) -> None:
        self._parameter, self._convert = parameter, parameter.process_value
        described = getattr(parameter, "type_descriptor", None)  # only in Typer versions that load Pydantic
        self._wanted = getattr(described, "annotation", None)

    def __call__(self, context: Any, value: Any) -> Any:
        parameter, wanted = self._parameter, self._wanted
        if wanted is Path and isinstance(value, str):
            if not value:  # Path("") would be the current folder
                raise typer.BadParameter("an empty name was given for a file or folder; is a variable unset?")
            value = Path(value)
        elif wanted == list[str] and value and all(isinstance(each, str) for each in value):
            value = list(value)
        elif value is None:
            if parameter.required or wanted is None:
                return self._convert(context, value)
        elif wanted not in (str, bool, int) or not isinstance(value, wanted):
            return self._converted(context, value)
        return value if parameter.callback is None else parameter.callback(context, parameter, value)

    def _converted(self, context: Any, value: Any) -> Any:
        try:
            return self._convert(context, value)
        except typer.BadParameter as error:
            if self._wanted is not None:  # otherwise Click wrote the message, which names value and limits
                error.message = f"{value!r}; allowed: {self._allowed()}"
            raise

    def _allowed(self) -> str:
        wanted = self._wanted
        if isinstance(wanted, type) and issubclass(wanted, Enum):
            return ", ".join(str(choice.value) for choice in wanted)
        least, most = self._parameter.min, self._parameter.max
        if least is not None:
            return f"{least:g} to {most:g}" if most is not None else f"{least:g} or more"
        return "a whole number" if wanted is int else "a number"
