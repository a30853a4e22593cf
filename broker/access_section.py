"""The [access] section of the configuration: who may ask what, and where quotas are kept."""

from collections.abc import Iterator

from broker.sections import ConfigFault, Section


class AccessConfig(Section, frozen=True, kw_only=True):
    """Files are relative to the working directory of the broker."""

    policy: str = ""
    registry: str = ""
    quotas: str = "var/quotas"

    def conflicts(self) -> Iterator[ConfigFault]:
        """See `Section`."""
        if self.policy and not self.quotas:
            yield ConfigFault("quotas", "is needed beside access.policy: a folder for what is charged to quotas")
