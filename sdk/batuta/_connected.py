"""Dictionaries and namespaces that are tied to a section of the task's parameters."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

from batuta._parameters import Parameters, flatten


class ConnectedDict(dict[Any, Any]):
    """A dict that reports each write. Copies and pickles are plain dicts."""

    def __init__(self, values: dict[Any, Any], changed: Callable[[], None]) -> None:
        super().__init__({key: _connected(value, changed) for key, value in values.items()})
        self._changed = changed

    def __setitem__(self, key: Any, value: Any) -> None:
        """Set and report."""
        super().__setitem__(key, _connected(value, self._changed))
        self._changed()

    def __delitem__(self, key: Any) -> None:
        """Delete and report."""
        super().__delitem__(key)
        self._changed()

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Update and report once."""
        for key, value in dict(*args, **kwargs).items():
            super().__setitem__(key, _connected(value, self._changed))
        self._changed()

    def __ior__(self, other: Any) -> ConnectedDict:  # type: ignore[misc]
        """Update and report once."""
        self.update(other)
        return self

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Set where missing, and report."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, *args: Any) -> Any:
        """Take out and report."""
        value = super().pop(*args)
        self._changed()
        return value

    def popitem(self) -> tuple[Any, Any]:
        """Take one out and report."""
        item = super().popitem()
        self._changed()
        return item

    def clear(self) -> None:
        """Empty and report."""
        super().clear()
        self._changed()

    def __reduce__(self) -> tuple[Any, ...]:
        """As a plain dict: another process has no task to report to."""
        return (dict, (dict(self),))

    def copy(self) -> dict[Any, Any]:
        """A plain dict."""
        return dict(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[Any, Any]:
        """A plain dict, all the way down."""
        import copy

        return {copy.deepcopy(key, memo): copy.deepcopy(value, memo) for key, value in self.items()}


def _connected(value: Any, changed: Callable[[], None]) -> Any:
    return ConnectedDict(value, changed) if type(value) is dict else value  # pyright: ignore[reportUnknownArgumentType]


def connect_dict(values: dict[Any, Any], section: str, parameters: Parameters, *, remote: bool) -> ConnectedDict:
    """Tie a dict to a section. Remote: the server's values replace the script's, in the given dict too."""
    if remote:
        _override(values, "", section, parameters)
        parameters.set({key: each for key, each in flatten(values, section).items() if parameters.get(key) is None})
    else:
        parameters.set(flatten(values, section))

    def changed() -> None:
        parameters.set(flatten(tied, section), replace_section=section)
        parameters.push_soon()

    tied = ConnectedDict(values, changed)
    return tied


def connect_namespace(given: Namespace, section: str, parameters: Parameters, *, remote: bool) -> Namespace:
    """Tie a namespace to a section. Remote: the server's values replace its attributes."""
    values = vars(given)
    if remote:
        _override(values, "", section, parameters)
        parameters.set({key: each for key, each in flatten(values, section).items() if parameters.get(key) is None})
    else:
        parameters.set(flatten(values, section))
    return given


def _override(values: dict[Any, Any], prefix: str, section: str, parameters: Parameters) -> None:
    for key, own in list(values.items()):
        name = f"{prefix}{key}" or " "
        if isinstance(own, dict) and own:
            _override(own, f"{name}/", section, parameters)  # pyright: ignore[reportUnknownArgumentType]
        else:
            values[key] = parameters.override(section, name, own)
