"""What `broker serve` says before it serves."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from broker.cli.serve import serve


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_plain_text_is_refused_where_other_hosts_can_reach_it(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(serve, ["--listen", address])
    assert refused.exit_code == 2
    assert "command line: server.listen: " in refused.output
    assert "broker certs init" in refused.output
    assert not list(tmp_path.iterdir()), "nothing was begun"
