"""Between Python's types and JSON: dataclasses, TypedDicts, enums, dates and the like, and pydantic's models.

Pydantic is never imported here. A value can only be one of its models if somebody else has imported it.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

from .errors import InvalidPayload

Payload = typing.Annotated[Any, "the whole payload"]
"""The type of a handler's only argument that takes the payload as it is, whatever it is."""

_LISTS = (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_SETS = {set: set, frozenset: frozenset, collections.abc.Set: frozenset, collections.abc.MutableSet: set}
_WRAPPERS = [
    getattr(typing, name) for name in ("Annotated", "Required", "NotRequired", "ReadOnly") if hasattr(typing, name)
]
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


def encode(value: Any) -> Any:
    """Turns a value into what ``json`` can write.

    Raises :class:`TypeError` for a value that has no JSON of its own, naming its type.
    """
    if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, enum.Enum):
        return encode(value.value)
    if is_pydantic(type(value)):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {_key(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [encode(item) for item in value]
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (UUID, Decimal, Path)):
        return str(value)
    raise TypeError(f"{type(value).__qualname__} cannot be written as JSON")


def _key(key: Any) -> str:
    written = encode(key)
    if isinstance(written, str):
        return written
    raise TypeError(f"{key!r} cannot be the key of a JSON object; keys are strings")


def decode(hint: Any, value: Any, *, strict: bool, at: str = "") -> Any:
    """Reads a JSON value as the type that ``hint`` names.

    ``strict`` refuses fields that a dataclass or TypedDict does not know. Raises :class:`InvalidPayload`, which names
    the place by its JSON pointer.
    """
    if hint is Any or hint is object or hint is dataclasses.MISSING or isinstance(hint, typing.TypeVar):
        return value
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in _WRAPPERS:
        return decode(arguments[0], value, strict=strict, at=at)
    if origin in (Union, types.UnionType):
        return _decode_union(arguments, value, strict, at)
    if origin is Literal:
        if value in arguments:
            return value
        raise _misfit(at, value, f"one of {list(arguments)}")
    shape = origin or hint
    if shape in _PLAIN:
        return _PLAIN[shape](value, at)
    if shape in _TEXTUAL:
        return _decode_text(_TEXTUAL[shape], shape, value, at)
    if shape is timedelta:
        return timedelta(seconds=_number(value, at))
    if shape in _MAPPINGS:
        item = arguments[1] if len(arguments) == 2 else Any
        pairs = _object(value, at).items()
        return {key: decode(item, each, strict=strict, at=f"{at}/{key}") for key, each in pairs}
    if shape is tuple and arguments and arguments[-1] is not Ellipsis:
        items = _array(value, at)
        if len(items) != len(arguments):
            raise _misfit(at, value, f"a list of {len(arguments)}")
        pairs_of = zip(arguments, items, strict=True)
        return tuple(decode(each, item, strict=strict, at=f"{at}/{n}") for n, (each, item) in enumerate(pairs_of))
    if shape in _LISTS or shape in _SETS or shape is tuple:
        item = arguments[0] if arguments else Any
        read = [decode(item, each, strict=strict, at=f"{at}/{n}") for n, each in enumerate(_array(value, at))]
        return tuple(read) if shape is tuple else _SETS.get(shape, list)(read)
    if isinstance(shape, type):
        return _decode_class(shape, value, strict, at)
    raise InvalidPayload(f"{at or '/'}: {hint!r} is no type that can be read from JSON")


def _decode_union(arguments: tuple[Any, ...], value: Any, strict: bool, at: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    faults = []
    for hint in arguments:
        if hint is type(None):
            continue
        try:
            return decode(hint, value, strict=strict, at=at)
        except InvalidPayload as fault:
            faults.append(str(fault))
    raise InvalidPayload("; or ".join(faults))


def _decode_class(shape: type, value: Any, strict: bool, at: str) -> Any:
    if issubclass(shape, enum.Enum):
        try:
            return shape(value)
        except ValueError as fault:
            raise _misfit(at, value, f"one of {[member.value for member in shape]}") from fault
    if is_pydantic(shape):
        try:
            return shape.model_validate(value)  # type: ignore[attr-defined]
        except ValueError as fault:
            raise InvalidPayload(f"{at or '/'}: {fault}") from fault
    if typing.is_typeddict(shape):
        required: frozenset[str] = shape.__required_keys__  # type: ignore[attr-defined]
        hints = {name: (hint, name in required) for name, hint in hints_of(shape).items()}
        return _decode_fields(shape, hints, value, strict, at)
    if dataclasses.is_dataclass(shape):
        types_of = hints_of(shape)
        fields = {field.name: (types_of[field.name], _is_required(field)) for field in _settable(shape)}
        return shape(**_decode_fields(shape, fields, value, strict, at))
    raise InvalidPayload(f"{at or '/'}: {shape.__qualname__} is no type that can be read from JSON")


def _decode_fields(
    shape: type, fields: dict[str, tuple[Any, bool]], value: Any, strict: bool, at: str
) -> dict[str, Any]:
    given = _object(value, at)
    missing = [name for name, (_, required) in fields.items() if required and name not in given]
    unknown = [name for name in given if name not in fields] if strict else []
    if missing or unknown:
        faults = [f"{name!r} is missing" for name in missing]
        faults += [f"{name!r} is no field of {shape.__name__}" for name in unknown]
        raise InvalidPayload(f"{at or '/'}: {', '.join(faults)}")
    return {
        name: decode(hint, given[name], strict=strict, at=f"{at}/{name}")
        for name, (hint, _) in fields.items()
        if name in given
    }


def _settable(shape: Any) -> Iterator[dataclasses.Field[Any]]:
    return (field for field in dataclasses.fields(shape) if field.init)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def hints_of(of: Any) -> dict[str, Any]:
    """The types of a class's fields or of a function's parameters, whether written plain or as strings."""
    return _hints_of(of)


# Reading what is written as strings takes longer than most handlers.
@cache
def _hints_of(of: Any) -> dict[str, Any]:
    return typing.get_type_hints(of, include_extras=True)


def is_pydantic(shape: Any) -> bool:
    """Whether a class is one of pydantic's models."""
    pydantic = sys.modules.get("pydantic")
    model = getattr(pydantic, "BaseModel", None)
    return model is not None and isinstance(shape, type) and issubclass(shape, model)


def is_model(hint: Any) -> bool:
    """Whether a type describes a whole payload: a dataclass, a TypedDict, a pydantic model, or :data:`Payload`."""
    if isinstance(hint, type):
        return dataclasses.is_dataclass(hint) or typing.is_typeddict(hint) or is_pydantic(hint)
    return bool(hint == Payload)


def _misfit(at: str, value: Any, wanted: str) -> InvalidPayload:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
    return InvalidPayload(f"{at or '/'}: {shown} is not {wanted}")


def _object(value: Any, at: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise _misfit(at, value, "an object")


def _array(value: Any, at: str) -> list[Any]:
    if isinstance(value, list):
        return value
    raise _misfit(at, value, "a list")


def _number(value: Any, at: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise _misfit(at, value, "a number")


def _whole(value: Any, at: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _misfit(at, value, "a whole number")


def _text(value: Any, at: str) -> str:
    if isinstance(value, str):
        return value
    raise _misfit(at, value, "a text")


def _truth(value: Any, at: str) -> bool:
    if isinstance(value, bool):
        return value
    raise _misfit(at, value, "true or false")


def _nothing(value: Any, at: str) -> None:
    if value is not None:
        raise _misfit(at, value, "null")


def _decode_text(read: Callable[[str], Any], shape: Any, value: Any, at: str) -> Any:
    text = _text(value, at)
    try:
        return read(text)
    except (ValueError, ArithmeticError) as fault:
        raise _misfit(at, value, f"a {shape.__name__}") from fault


_PLAIN: dict[Any, Callable[[Any, str], Any]] = {
    str: _text,
    int: _whole,
    float: lambda value, at: float(_number(value, at)),
    bool: _truth,
    types.NoneType: _nothing,
    None: _nothing,
}

_TEXTUAL: dict[Any, Callable[[str], Any]] = {
    # Python 3.10 does not know the Z.
    datetime: lambda text: datetime.fromisoformat(text.replace("Z", "+00:00")),
    date: date.fromisoformat,
    time: time.fromisoformat,
    UUID: UUID,
    Decimal: Decimal,
    Path: Path,
}
