"""One [[institution]] block of the configuration: its keys, their rules, and its meaning in the broker's own words."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from broker.core.subjects.court import PROVINCES, XPCC, court_region
from broker.model import Access, InstitutionSpec, Kind
from broker.secret import read_secret
from broker.sections import ConfigFault, Section, positive

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LONGEST_LIFETIME = 10 * 365 * 86_400  # s; records keep moments in 32 bits, which suffice until 2106
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?")
_OWN_HEADERS = frozenset(
    {"host", "accept", "accept-encoding", "content-type", "content-length", "content-encoding", "transfer-encoding"}
    | {"connection", "keep-alive", "upgrade", "te", "trailer", "expect", "proxy-authorization"}
)
"""What the transport says itself, or could not keep its word about."""


def _id(text: str) -> str | None:
    return None if _ID.fullmatch(text) else "must be 1 to 64 of a-z, 0-9, '.', '_', '-'"


def _region(text: str | None) -> str | None:
    if text is None or court_region(text):
        return None
    return f"must be one of {PROVINCES}{XPCC}, with which court codes begin, or 内, which is 蒙"


def _url(text: str) -> str | None:
    return None if _is_url(text, "http", "https") else "must be an http or https address"


def _ttl(seconds: float) -> str | None:
    return None if 0 <= seconds <= _LONGEST_LIFETIME else "must not be negative, nor over ten years"


def _proxy(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        url = read_secret(text).reveal()
    except ValueError as error:
        return str(error)
    # The address may contain a password, so it is not shown.
    return None if _is_url(url, "http") else "must be the http address of a proxy, or env:NAME or file:PATH of one"


def _headers(headers: dict[str, str]) -> str | None:
    reasons = [reason for name, value in headers.items() if (reason := _header(name, value))]
    lower = [name.lower() for name in headers]
    reasons += [f"{name} is given twice" for name in sorted(set(lower)) if lower.count(name) > 1]
    return "; ".join(reasons) or None


def _header(name: str, value: str) -> str | None:
    if not _HEADER_NAME.fullmatch(name):
        return f"{name!r} is no name of a header"
    if name.lower() in _OWN_HEADERS:
        return f"{name} is set by the broker itself"
    try:
        text = read_secret(value).reveal()
    except ValueError as error:
        return f"{name}: {error}"
    return None if _HEADER_VALUE.fullmatch(text) else f"{name}: its value must be visible ASCII characters"


class InstitutionBlock(Section, frozen=True, kw_only=True):
    """One block, as written. Durations in seconds."""

    id: Annotated[str, _id]
    name: str
    kind: Literal["bank", "vehicle", "securities", "real_estate"]
    url: Annotated[str, _url]
    enabled: bool = True
    scope: Literal["national", "regional"] = "national"
    region: Annotated[str | None, _region] = None
    dialect: str = "json"
    batch_size: Annotated[int, positive] = 500
    concurrency: Annotated[int, positive] = 8
    rate: Annotated[float, positive] = 1000.0
    timeout: Annotated[float, positive] = 10.0
    found_ttl: Annotated[float, _ttl] = 3600.0
    not_found_ttl: Annotated[float, _ttl] = 900.0
    names: Literal["exact", "folded"] = "exact"
    headers: Annotated[dict[str, str], _headers] = {}  # noqa: RUF012 - msgspec copies it
    ca_file: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    proxy: Annotated[str | None, _proxy] = None

    def conflicts(self) -> Iterator[ConfigFault]:
        """See `Section`."""
        if (self.scope == "regional") != (self.region is not None):
            yield ConfigFault("region", 'goes with scope = "regional", and only with it')
        if self.client_key is not None and self.client_certificate is None:
            yield ConfigFault("client_key", "goes with client_certificate, and only with it")
        url = urlsplit(self.url)
        if url.scheme == "http":
            for key in ("ca_file", "client_certificate"):
                if getattr(self, key) is not None:
                    yield ConfigFault(key, "goes with an https url, and only with it")
        if url.username is not None and "authorization" in map(str.lower, self.headers):
            yield ConfigFault("headers", "Authorization is made of the name and password in url: give only one of them")

    def spec(self) -> InstitutionSpec:
        """The same in the broker's own words. Reads the secrets that it refers to."""
        return InstitutionSpec(
            id=self.id,
            name=self.name,
            kind=Kind[self.kind.upper()],
            region=self.region and court_region(self.region),
            dialect=self.dialect,
            url=self.url,
            batch_size=self.batch_size,
            concurrency=self.concurrency,
            rate=self.rate,
            timeout=self.timeout,
            found_ttl=self.found_ttl,
            not_found_ttl=self.not_found_ttl,
            names=self.names,
            access=Access(
                headers=tuple((name, read_secret(value)) for name, value in self.headers.items()),
                ca_file=self.ca_file,
                client_certificate=self.client_certificate,
                client_key=self.client_key,
                proxy=None if self.proxy is None else read_secret(self.proxy),
            ),
        )


def _is_url(text: str, *schemes: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in schemes and bool(url.hostname) and url.port != 0
    except ValueError:  # brackets that do not match, or a port that is none
        return False
