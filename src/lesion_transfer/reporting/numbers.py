"""Numbers as text, alike on the page and in the model card."""

from collections.abc import Mapping
from typing import Any


def signed(value: float) -> str:
    """+0.050; the minus has the width of the plus, so that columns of numbers align."""
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def estimate_text(found: Mapping[str, Any] | None, *, with_sign: bool = False) -> str:
    """0.700 (0.600 to 0.800) and its note; a dash for None; one that is not defined says why, where that is known."""
    if found is None:
        return "\N{EN DASH}"
    if found["value"] is None:
        return found.get("note") or "not defined"
    number = signed if with_sign else "{:.3f}".format
    interval = "" if found["low"] is None else f" ({number(found['low'])} to {number(found['high'])})"
    note = f"; {found['note']}" if found.get("note") else ""
    return f"{number(found['value'])}{interval}{note}"
