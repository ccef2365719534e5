"""Results with named fields, and tables of them."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, overload

__all__ = ["Result", "Table"]


# Lists that are about a table, and what a result is about where that is not its first other list.
_BESIDE = ("data", "skipped", "incomplete", "passed_over", "unread")
_MAIN = {"cliplens.search/1": "results", "cliplens.edit.suggest/2": "heads", "cliplens.evaluate.labels/3": "truth"}


def _wrap(value: Any) -> Any:
    if isinstance(value, dict):
        return Result(value)
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return Table(value)
    return value


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The fields of objects beside the others, with a dot in their names."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return flat


def _records(row: Mapping[str, Any], prefix: str = "") -> list[dict[str, Any]]:
    """One flat record; where there is one table inside, one for each row of that."""
    flat = _flat(row, prefix)
    tables = [key for key, value in row.items() if _is_table(value)]
    if len(tables) != 1:
        return [flat]
    del flat[prefix + tables[0]]
    return [{**flat, **inner} for r in row[tables[0]] for inner in _records(r, f"{prefix}{tables[0]}.")]


class Result:
    """What a verb says, with the fields of its JSON (``docs/json.md``) as attributes.

    ``result.heads`` is the field ``heads``; objects are results, lists of objects are tables. A field
    whose name is a word of Python's is had by ``result["class"]``.
    """

    def __init__(self, fields: Mapping[str, Any], text: str | None = None,
                 file: str | Callable[[], str] | None = None) -> None:
        self._fields = dict(fields)
        self._text = text
        self._file = file

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return _wrap(self._fields[name])
        except KeyError:
            raise AttributeError(
                f"{name}: no such field; there are {', '.join(self._fields)}") from None

    def __getitem__(self, name: str) -> Any:
        return _wrap(self._fields[name])

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(k for k in self._fields if k.isidentifier())]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Result) and self._fields == other._fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fields = ", ".join(f"{k}={_short(v)}" for k, v in self._fields.items())
        return f"{type(self).__name__}({fields})"

    def to_json(self) -> str:
        """The JSON text, to the byte what the verb prints with ``--json``."""
        return json.dumps(self._fields, ensure_ascii=False) if self._text is None else self._text

    def as_file(self) -> str:
        """The text that the verb writes with ``--out``, where other verbs read that: labels, spans, edits."""
        if callable(self._file):
            self._file = self._file()
        return self.to_json() if self._file is None else self._file

    def to_dict(self) -> dict[str, Any]:
        """The fields, objects as dictionaries."""
        return dict(self._fields)

    def table(self, field: str | None = None) -> Table:
        """Flat rows of a field; by default of what the verb is about, such as ``heads`` of ``span``.

        Where each row has one table inside, there is a row for each of that, the outer fields repeated;
        fields of objects have a dot in their name. Raises ``ValueError`` where there is no such list.
        """
        names = [k for k, v in self._fields.items() if _is_table(v)]
        main = _MAIN.get(str(self._fields.get("format")))
        name = field or main or next((k for k in names if k not in _BESIDE), None)
        if name is None or name not in names:
            raise ValueError(f"{field or 'the result'}: has no rows; tables are {names}")
        return Table([r for row in self._fields[name] for r in _records(row)])

    def to_pandas(self) -> Any:
        """``table()`` as a ``pandas.DataFrame``."""
        return self.table().to_pandas()

    def to_polars(self) -> Any:
        """``table()`` as a ``polars.DataFrame``."""
        return self.table().to_polars()

    def to_arrow(self) -> Any:
        """``table()`` as a ``pyarrow.Table``."""
        return self.table().to_arrow()

    def _repr_html_(self) -> str:
        single = {k: v for k, v in self._fields.items() if not isinstance(v, (dict, list))}
        text = "<p>" + ", ".join(f"{html.escape(k)} {html.escape(_short(v))}"
                                 for k, v in single.items()) + "</p>"
        tables = [k for k, v in self._fields.items() if _is_table(v)]
        return text + "".join(f"<h4>{html.escape(k)}</h4>" + self.table(k)._repr_html_() for k in tables)


class Table(Sequence[Result]):
    """Rows of named fields. Columns of a row that lacks them are ``None``."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = list(rows)

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> Table: ...
    def __getitem__(self, index: int | slice) -> Result | Table:
        if isinstance(index, slice):
            return Table(self._rows[index])
        return Result(self._rows[index])

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Result]:
        return (Result(row) for row in self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and self._rows == other._rows

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Table({len(self)} rows: {', '.join(self.columns)})"

    @property
    def columns(self) -> list[str]:
        """Names of all columns, in the order in which they first appear."""
        return list(dict.fromkeys(k for row in self._rows for k in row))

    def to_dict(self) -> dict[str, list[Any]]:
        """Columns by name."""
        return {name: [row.get(name) for row in self._rows] for name in self.columns}

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame``; needs pandas."""
        import pandas  # type: ignore[import-untyped, unused-ignore]

        return pandas.DataFrame(self.to_dict())

    def to_polars(self) -> Any:
        """A ``polars.DataFrame``; needs polars."""
        import polars  # type: ignore[import-not-found, unused-ignore]

        return polars.DataFrame(self.to_dict(), strict=False)

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table``; needs pyarrow."""
        import pyarrow  # type: ignore[import-untyped, unused-ignore]

        return pyarrow.table(self.to_dict())

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Arrow's C stream (PyCapsule interface); needs pyarrow."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def _repr_html_(self, most: int = 50) -> str:
        columns = self.columns
        head = "".join(f"<th>{html.escape(c)}</th>" for c in columns)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(_short(row.get(c)))}</td>" for c in columns)
                       + "</tr>" for row in self._rows[:most])
        more = f"<p>{len(self) - most} more rows</p>" if len(self) > most else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _short(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"
