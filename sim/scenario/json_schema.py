"""The rules of the reader as a JSON Schema, for editors and other tools.

It says what one place of a file may hold. What needs two places of it, or the size of a quantity, only the reader can say.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from sim.scenario import schema
from sim.scenario.catalogue import Catalogue
from sim.scenario.rules import (
    Aimed,
    Amount,
    ByKey,
    Counts,
    Field,
    Flag,
    Many,
    OneOf,
    Plain,
    Real,
    Record,
    Rule,
    Text,
    Whole,
    Word,
)
from sim.scenario.units import SHAPES

Schema: TypeAlias = dict[str, Any]


def document(catalogue: Catalogue) -> Schema:
    made = of(schema.document(catalogue))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "AVE scenario",
        "description": "What a cluster looks like, what runs on it, what happens to it, and what must hold at the end",
        **made,
    }


def of(rule: Rule) -> Schema:
    match rule:
        case Text():
            return {"type": "string", "pattern": f"^(?:{rule.pattern})$"}
        case Word():
            return {"enum": [str(name) for name in rule.names]}
        case Whole():
            return {"type": "integer", "minimum": rule.low, "maximum": rule.high}
        case Real():
            return {"type": "number", "minimum": rule.low, "maximum": rule.high}
        case Flag():
            return {"type": "boolean"}
        case Plain():
            return {"type": ["string", "number", "boolean"]}
        case Amount():
            return _amount(rule)
        case Many():
            return {"type": "array", "items": of(rule.of), "minItems": rule.least}
        case Counts():
            pattern = f"^(?:{rule.key.pattern})$"
            return {"type": "object", "propertyNames": {"pattern": pattern}, "additionalProperties": of(rule.of)}
        case Record():
            return _record(rule)
        case OneOf():
            return {"anyOf": [_record(record, rule.key, name) for name, record in rule.records.items()]}
        case ByKey():
            return {"anyOf": [of(record) for record in rule.records.values()]}
        case Aimed():
            return {"anyOf": [of(rule.name), of(Many(rule.name, least=1)), of(rule.choice)]}


def _amount(rule: Amount) -> Schema:
    shape = SHAPES[rule.read]
    bounds = f"from {rule.show(rule.low)} to {rule.show(rule.high)}"
    text = {"type": "string", "pattern": f"^(?:{shape.pattern})$"}
    if not shape.plain:
        return {"description": bounds, "anyOf": [text, {"const": 0}]} if shape.zero else {"description": bounds, **text}
    return {"description": bounds, "anyOf": [text, {"type": "number"}]}


def _record(record: Record, key: str = "", name: str = "") -> Schema:
    """``key``: that which chose it, with this name."""
    properties: Schema = {key: {"const": name}} if key else {}
    properties |= {name: _field(field) for name, field in record.fields.items()}
    required = [*([key] if key else []), *(name for name, field in record.fields.items() if field.required)]
    made: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if record.phrase:
        made["description"] = record.phrase
    return made | ({"required": required} if required else {})


def _field(field: Field) -> Schema:
    made = of(field.rule)
    plain = isinstance(field.rule, Word | Whole | Real | Flag)
    return made | {"default": field.default} if plain and field.default is not None else made
