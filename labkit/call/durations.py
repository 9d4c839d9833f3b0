"""How a duration is written for people."""

from __future__ import annotations

__all__ = ["seconds"]


def seconds(value: float | None) -> str:
    """Write a duration in the unit it is read in: 3.7 ms, 24.8 s, 1,200 s."""
    if value is None:
        return "–"
    size = abs(value)
    if size >= 1_000:
        return f"{value:,.0f} s"
    if size >= 10:
        return f"{value:.4g} s"
    if size >= 0.9995:
        return f"{value:.3g} s"
    return f"{value * 1000:.0f} ms" if size >= 0.0095 or size == 0 else f"{value * 1000:.2g} ms"
