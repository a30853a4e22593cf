"""The record of what was asked: an append-only log that convinces somebody who trusts neither operator nor authors."""
