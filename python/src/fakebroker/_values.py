"""AMQP values: Python's types, and the JSON that the command speaks (docs/control.md, "Values")."""

from __future__ import annotations

import base64
import math
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List, Mapping, Optional, Tuple

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Typed:
    """A value with its exact AMQP type: `Typed("uint", 7)`, `Typed("symbol", "x")`, `Typed("decimal32", "0001feff")`."""

    type: str
    value: Any


@dataclass(frozen=True)
class Described:
    """A described value."""

    descriptor: Any
    value: Any


def to_json(value: Any) -> Any:
    """A value for the command. An int is a long, bytes are a binary, a datetime is a timestamp."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise ValueError(f"{value} does not fit the 64 bits that AMQP has")
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return {"@double": "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"@binary": base64_of(value)}
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"a datetime without a time zone is no point in time: {value!r}")
        return {"@timestamp": (value - _EPOCH) // timedelta(milliseconds=1)}
    if isinstance(value, uuid.UUID):
        return {"@uuid": str(value)}
    if isinstance(value, Described):
        return {"@described": [to_json(value.descriptor), to_json(value.value)]}
    if isinstance(value, Typed):
        return _typed(value)
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("@") for key in value):
            return {key: to_json(item) for key, item in value.items()}
        return {"@map": _pairs(value)}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    raise TypeError(f"there is no AMQP type for {value!r}")


def _typed(value: Typed) -> Any:
    if value.type == "map" and isinstance(value.value, Mapping):
        return {"@map": _pairs(value.value)}
    if value.type == "null":
        return None
    inner = value.value
    if value.type in ("float", "double") and isinstance(inner, (int, float)) and not math.isfinite(inner):
        return {f"@{value.type}": to_json(float(inner))["@double"]}
    return {f"@{value.type}": to_json(inner)}


def _pairs(value: Mapping[Any, Any]) -> List[Any]:
    return [[to_json(key), to_json(item)] for key, item in value.items()]


def from_json(value: Any) -> Any:
    """A value that the command told."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(name, inner)] = value.items()
        if name.startswith("@"):
            return _tagged(name[1:], inner)
    return {key: from_json(item) for key, item in value.items()}


def _tagged(name: str, inner: Any) -> Any:
    if name == "binary":
        return bytes_of(inner)
    if name == "uuid":
        return uuid.UUID(inner)
    if name == "char":
        return inner
    if name == "double":
        return float(inner)
    if name == "float" and isinstance(inner, str):
        return float(inner)
    if name == "timestamp":
        try:
            return _EPOCH + timedelta(milliseconds=inner)
        except OverflowError:
            return Typed(name, inner)
    if name == "described":
        descriptor, described = inner
        return Described(from_json(descriptor), from_json(described))
    if name == "map":
        return _map([(from_json(key), from_json(item)) for key, item in inner])
    return Typed(name, from_json(inner))


def _map(entries: List[Tuple[Any, Any]]) -> Any:
    """A dict, if that says all; else the pairs."""
    try:
        mapping = dict(entries)
    except TypeError:
        return Typed("map", entries)
    return mapping if len(mapping) == len(entries) else Typed("map", entries)


def base64_of(data: Any) -> str:
    return base64.b64encode(bytes(data)).decode("ascii")


def bytes_of(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def mapping_to_json(values: Optional[Mapping[str, Any]]) -> Optional[Dict[str, Any]]:
    """An object of values, as sections of a message are."""
    return None if values is None else {name: to_json(value) for name, value in values.items()}


def annotations_to_json(values: Optional[Mapping[Any, Any]]) -> Any:
    """Likewise, for sections whose keys are symbols, or ulongs."""
    return None if values is None else to_json(values)
