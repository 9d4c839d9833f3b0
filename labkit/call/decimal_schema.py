"""JSON Schema that knows decimals; loaded for the few types that may hold one."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

__all__ = ["WithDecimals"]


class WithDecimals(GenerateJsonSchema):
    """Says which numbers are a ``Decimal``; JSON Schema itself cannot tell them from a float or a text."""

    def decimal_schema(self, schema: Any) -> dict[str, Any]:
        bounds = {key: rule for key, rule in self.float_schema(schema).items() if key != "type"}
        return {"type": "decimal", **bounds}
