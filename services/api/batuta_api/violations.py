"""The error of one field that breaks a rule which the contract cannot say."""

from __future__ import annotations

from batuta_rpc.errors import FieldViolation


def violation(field: str, text: str) -> FieldViolation:
    """A field breaks a rule."""
    return FieldViolation(f"{field}: {text}", field_violations=[(field, text)])
