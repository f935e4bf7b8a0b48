"""Between Python's types and JSON."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID

import pydantic
import pytest

from jobforge.codec import decode, encode
from jobforge.errors import InvalidPayload


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Page(TypedDict, total=False):
    number: int
    title: str


@dataclass
class Line:
    text: str
    length_s: timedelta = timedelta(seconds=1)


@dataclass
class Film:
    name: str
    lines: list[Line]
    colours: set[Colour] = field(default_factory=set)
    seen: datetime | None = None
    by_day: dict[str, date] = field(default_factory=dict)


class Cut(pydantic.BaseModel):
    at: datetime
    takes: int = 1


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (str, "a"),
        (int, 3),
        (float, 3.5),
        (bool, True),
        (None, None),
        (Any, {"a": [1]}),
        (datetime, datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)),
        (date, date(2026, 1, 2)),
        (timedelta, timedelta(minutes=3)),
        (UUID, UUID(int=7)),
        (Decimal, Decimal("1.10")),
        (Path, Path("/a/b")),
        (Colour, Colour.RED),
        (Literal["x", "y"], "y"),
        (Annotated[int, "any"], 3),
        (list[int], [1, 2]),
        (tuple[int, str], (1, "a")),
        (tuple[int, ...], (1, 2, 3)),
        (frozenset[int], frozenset({1, 2})),
        (dict[str, int], {"a": 1}),
        (int | str | None, "a"),
        (int | str | None, None),
        (Page, {"number": 1}),
        (Film, Film("f", [Line("a")], {Colour.BLUE}, datetime(2026, 1, 2), {"mon": date(2026, 1, 5)})),
        (Cut, Cut(at=datetime(2026, 1, 2, tzinfo=timezone.utc), takes=3)),
        (list[Cut], [Cut(at=datetime(2026, 1, 2, tzinfo=timezone.utc))]),
    ],
)
def test_what_is_written_as_json_is_read_as_it_was(hint: Any, value: Any) -> None:
    assert decode(hint, json.loads(json.dumps(encode(value))), strict=True) == value


@pytest.mark.parametrize(
    ("hint", "value", "fault"),
    [
        (int, "3", "/: '3' is not a whole number"),
        (int, True, "/: True is not a whole number"),
        (int, 3.5, "/: 3.5 is not a whole number"),
        (list[int], [1, "b"], "/1: 'b' is not a whole number"),
        (Colour, "green", "/: 'green' is not one of ['red', 'blue']"),
        (datetime, "soon", "/: 'soon' is not a datetime"),
        (Film, {"name": "f"}, "/: 'lines' is missing"),
        (Film, {"name": "f", "lines": [], "nmae": 1}, "/: 'nmae' is no field of Film"),
        (Film, {"name": "f", "lines": [{"text": 1}]}, "/lines/0/text: 1 is not a text"),
        (int | None, "a", "/: 'a' is not a whole number"),
        (tuple[int, str], [1], "/: [1] is not a list of 2"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(hint: Any, value: Any, fault: str) -> None:
    with pytest.raises(InvalidPayload) as refused:
        decode(hint, value, strict=True)
    assert str(refused.value) == fault


def test_a_result_may_have_fields_that_an_older_reader_does_not_know() -> None:
    assert decode(Line, {"text": "a", "colour": "red"}, strict=False) == Line("a")


def test_pydantic_says_itself_what_does_not_fit() -> None:
    with pytest.raises(InvalidPayload, match="takes"):
        decode(Cut, {"at": "2026-01-02T00:00:00Z", "takes": "many"}, strict=True)


def test_what_has_no_json_of_its_own_is_named() -> None:
    with pytest.raises(TypeError, match="object cannot be written as JSON"):
        encode({"a": object()})
