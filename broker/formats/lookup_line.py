"""One line of a file of lookups, and the header that says what its cells are.

Error messages name line and column, and never quote the content.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from broker.client import Lookup, SubjectType, lookup
from broker.formats.columns import COLUMNS, column_of, parse_type, type_of_column
from broker.formats.spreadsheet import spoiled

_NOTHING: Mapping[str, str] = MappingProxyType({})


class LineFault(NamedTuple):
    """What is wrong with a line."""

    line: int
    column: str
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}" if self.column else f"line {self.line}"
        return f"{where}: {self.message}"


class LookupLine(NamedTuple):
    """One lookup as its line has it, and what else the line has."""

    ref: str
    subject_type: SubjectType
    number: str
    name: str
    extra: Mapping[str, str] = _NOTHING
    """Other columns of its line, by their names."""

    def lookup(self) -> Lookup:
        """As a message. It is made only for lookups that are sent, since that takes as long as reading the line."""
        return lookup(self.ref, self.subject_type, self.number, self.name)


class Header:
    """What the cells of a line are."""

    def __init__(self, names: Sequence[str], default_type: SubjectType | None) -> None:
        """`names` of the columns, as the file has them. `default_type`: of lines without a type."""
        self._names = names
        self._columns = [column_of(name) for name in names]
        self._extra = [(name, at) for at, name in enumerate(names) if not self._columns[at]]
        self.known = {column: self._columns.index(column) for column in COLUMNS if column in self._columns}
        """Where each of our columns is, if it is there."""
        typed = type_of_column(names[self.known["number"]]) if "number" in self.known else None
        self._default_type = typed or default_type

    @classmethod
    @lru_cache(maxsize=64)  # the lines of a JSON file have the same members
    def of(cls, names: tuple[str, ...], default_type: SubjectType | None) -> "Header":
        """The header with these names; the same one for the same names."""
        return cls(names, default_type)

    def fault(self, line: int) -> LineFault | None:
        """What is wrong with the header, which is in this line."""
        for column in COLUMNS:
            if self._columns.count(column) > 1:
                return LineFault(line, column, "is named twice: keep one of the two columns")
        if "number" not in self.known:
            return LineFault(line, "number", self._missing())
        if "type" not in self.known and self._default_type is None:
            return LineFault(line, "type", f"{self._missing()}, or give --type for all lines")
        return None

    def _missing(self) -> str:
        """Other columns are only counted: if there is no header, they are somebody's data."""
        found = [name[:20] for name, column in zip(self._names, self._columns, strict=True) if column]
        others = f"{len(self._extra)} other column{'s' * (len(self._extra) != 1)}"
        named = f"{', '.join(found)} and {others}" if found else others
        return f"is missing: the first line names the columns, {','.join(COLUMNS)}; found {named}"

    def read(self, line: int, cells: Sequence[str]) -> LookupLine | LineFault:
        """The lookup of a line with these cells. There must be no `fault`."""
        if len(cells) != len(self._names):
            quote = "put quotes around a cell that contains a delimiter"
            return LineFault(line, "", f"has {len(cells)} cells instead of {len(self._names)}: {quote}")
        known = self.known
        subject_type = self._default_type
        if "type" in known and (text := cells[known["type"]]):
            try:
                subject_type = parse_type(text)
            except ValueError as error:
                return LineFault(line, "type", str(error))
        if subject_type is None:
            return LineFault(line, "type", "is empty: fill it in, or give --type for all lines")
        number = cells[known["number"]]
        if message := spoiled(subject_type, number):
            return LineFault(line, "number", message)
        ref = cells[known["ref"]] if "ref" in known else ""
        name = cells[known["name"]] if "name" in known else ""
        extra = {name: cells[at] for name, at in self._extra} if self._extra else _NOTHING
        return LookupLine(ref or f"line-{line}", subject_type, number, name, extra)  # a number could be another's ref
