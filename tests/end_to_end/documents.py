"""The examples in the documents, as readers copy them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def blocks(document: str, language: str) -> list[str]:
    """The fenced blocks of a document in one language; "" is that of commands."""
    text = (ROOT / document).read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [block for of_block, block in fenced if of_block == language]


def block_with(document: str, language: str, content: str) -> str:
    """The only block of a document that contains this."""
    (block,) = [block for block in blocks(document, language) if content in block]
    return block
