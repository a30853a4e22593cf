"""Writes the tables of methods, messages and enumerations into docs/, from the comments in proto/.

A document names the contracts whose tables it contains. What stands between the two marks is generated:

    <!-- reference: broker/v1/investigation.proto broker/v1/inquiry.proto -->
    <!-- end of reference -->

usage: python scripts/reference.py FOLDER, where FOLDER contains docs/ and proto/
"""

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from grpc_tools import protoc

MARKED = re.compile(r"(?<=<!-- reference: )(.*?)( -->\n).*?(?=<!-- end of reference -->)", re.DOTALL)
# A comment's path consists of field numbers of descriptor.proto, and of indices.
MESSAGES, ENUMS, SERVICES = 4, 5, 6  # in a file
FIELDS, ONEOFS = 2, 8  # in a message
VALUES, METHODS = 2, 2  # in an enumeration; in a service


def main(folder: Path) -> None:
    """Rewrites the documents whose tables have changed."""
    proto = folder / "proto"
    contracts = sorted(path.relative_to(proto).as_posix() for path in proto.glob("broker/**/*.proto"))
    files = {file.name: file for file in describe(proto, contracts)}
    texts = {path: path.read_text(encoding="utf-8") for path in (folder / "docs").glob("*.md")}
    links = {
        type_name: f"{path.name}#{type_name.rpartition('.')[2].lower()}"
        for path, text in texts.items()
        for marked in MARKED.finditer(text)
        for contract in marked[1].split()
        for type_name in types(files[contract])
    }
    for path, text in texts.items():
        own = {type_name: link.removeprefix(path.name) for type_name, link in links.items()}
        written = MARKED.sub(partial(replacement, files=files, links=own), text)
        if written != text:
            path.write_text(written, encoding="utf-8")


def describe(proto: Path, contracts: Sequence[str]) -> Sequence[FileDescriptorProto]:
    """The contracts' descriptors, with comments."""
    with tempfile.NamedTemporaryFile() as output:
        options = ["--include_source_info", f"--descriptor_set_out={output.name}"]
        if protoc.main(["protoc", f"-I{proto}", *options, *contracts]):
            sys.exit("protoc failed")
        return FileDescriptorSet.FromString(output.read()).file


def types(file: FileDescriptorProto) -> Iterator[str]:
    """The full names of messages and enumerations, as descriptors have them."""
    yield from (f".{file.package}.{message.name}" for message in file.message_type)
    yield from (f".{file.package}.{enum.name}" for enum in file.enum_type)


def replacement(marked: re.Match[str], files: Mapping[str, FileDescriptorProto], links: Mapping[str, str]) -> str:
    """What belongs between two marks."""
    lines = [line for contract in marked[1].split() for line in Tables(files[contract], links).lines()]
    return f"{marked[1]}{marked[2]}" + "\n".join(["", *lines, ""])


class Tables:
    """The tables of one contract."""

    def __init__(self, file: FileDescriptorProto, links: Mapping[str, str]) -> None:
        """`links`: where types are described, by full name."""
        self._file = file
        self._links = links
        locations = file.source_code_info.location
        self._comments = {tuple(one.path): " ".join(one.leading_comments.split()) for one in locations}

    def lines(self) -> Iterator[str]:
        """Services, then messages, then enumerations, in the order of the contract."""
        for index, service in enumerate(self._file.service):
            yield from self._service(service, (SERVICES, index))
        for index, message in enumerate(self._file.message_type):
            yield from self._message(message, (MESSAGES, index))
        for index, enum in enumerate(self._file.enum_type):
            yield from self._enum(enum, (ENUMS, index))

    def _service(self, service: ServiceDescriptorProto, path: tuple[int, ...]) -> Iterator[str]:
        yield from self._head(service.name, path, "method", "request", "response")
        for index, method in enumerate(service.method):
            response = f"stream of {self._type(method.output_type)}" if method.server_streaming else ""
            cells = (f"`{method.name}`", self._type(method.input_type), response or self._type(method.output_type))
            yield self._row(*cells, (*path, METHODS, index))
        yield ""

    def _message(self, message: DescriptorProto, path: tuple[int, ...]) -> Iterator[str]:
        yield from self._head(message.name, path, "field", "number", "type")
        last_oneof = None
        for index, field in enumerate(message.field):
            oneof = field.oneof_index if field.HasField("oneof_index") else None
            if oneof is not None and oneof != last_oneof:
                yield self._row(f"`{message.oneof_decl[oneof].name}`", "", "oneof", (*path, ONEOFS, oneof))
            last_oneof = oneof
            kind = self._field_type(field)
            if oneof is not None:
                kind += f", in `{message.oneof_decl[oneof].name}`"
            yield self._row(f"`{field.name}`", str(field.number), kind, (*path, FIELDS, index))
        yield ""

    def _enum(self, enum: EnumDescriptorProto, path: tuple[int, ...]) -> Iterator[str]:
        yield from self._head(enum.name, path, "value", "number")
        for index, value in enumerate(enum.value):
            yield self._row(f"`{value.name}`", str(value.number), (*path, VALUES, index))
        yield ""

    def _head(self, name: str, path: tuple[int, ...], *columns: str) -> Iterator[str]:
        yield from (f"### {name}", "", self._comments[path], "")
        yield f"| {' | '.join(columns)} | meaning |"
        yield "|---" * (len(columns) + 1) + "|"

    def _row(self, *cells: str | tuple[int, ...]) -> str:
        """A line of a table. A path stands for its comment."""
        texts = [cell if isinstance(cell, str) else self._comments[cell] for cell in cells]
        return f"| {' | '.join(texts)} |"

    def _field_type(self, field: FieldDescriptorProto) -> str:
        name = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
        kind = self._type(field.type_name) if field.type_name else name
        return f"repeated {kind}" if field.label == FieldDescriptorProto.LABEL_REPEATED else kind

    def _type(self, full_name: str) -> str:
        """A type, by its short name if it is in the same package, with a link to where it is described."""
        package = f".{self._file.package}."
        name = full_name.removeprefix(package) if full_name.startswith(package) else full_name.removeprefix(".")
        return f"[{name}]({self._links[full_name]})" if full_name in self._links else name


if __name__ == "__main__":
    main(Path(sys.argv[1]))
