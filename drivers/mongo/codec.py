"""Documents and changes in MongoDB's own words. Hidden fields begin with an underscore."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from bson import encode as to_bson
from bson.errors import InvalidDocument

from ave.errors import Refused
from ave.ports.store import Change
from drivers.limits import DOCUMENT_BYTES_MAX

GHOST = "_ghost"  # of a document that exists only inside a transaction
TOUCHED = "_touched"  # counts the checks that lay on a document, so that they conflict with its writers
AT = "_at"  # only of an answer: when it was looked at

Raw = dict[str, Any]

NOW = {"$divide": [{"$toLong": "$$NOW"}, 1000]}


def encode(doc: Any) -> Raw:
    raw: Raw = msgspec.to_builtins(doc, str_keys=True)
    raw["_id"] = raw.pop("id")
    return raw


def decode(type: type[Any], raw: Raw) -> Any:
    raw["id"] = raw["_id"]
    return msgspec.convert(raw, type, strict=False, str_keys=True)


def check_size(kind: str, doc: Any) -> None:
    """Raises Refused for a document that cannot be stored."""
    try:
        size = len(to_bson(encode(doc)))
    except InvalidDocument as error:
        raise Refused(f"{kind} {doc.id} cannot be stored: {error}. Nothing was changed") from None
    if size > DOCUMENT_BYTES_MAX:
        limit = f"{DOCUMENT_BYTES_MAX:,}"
        raise Refused(f"{kind} {doc.id} has {size:,} bytes, and a document may have {limit}. Nothing was changed")


def alteration(change: Change) -> Raw | list[Raw]:
    """The update that makes the next version. Store time needs a pipeline; everything else there is a literal."""
    set_ = {path: msgspec.to_builtins(value, str_keys=True) for path, value in change.set.items()}
    if not change.stamp:
        return {"$inc": {**change.add, "version": 1}, **({"$set": set_} if set_ else {})}
    add = {path: {"$add": [f"${path}", by]} for path, by in {**change.add, "version": 1}.items()}
    return [{"$set": {**{path: {"$literal": value} for path, value in set_.items()}, **add, **stamps(change.stamp)}}]


def whole(raw: Raw, stamp: Mapping[str, float]) -> list[Raw]:
    """The update that puts all of a document in place, with store times in it."""
    return [{"$replaceWith": {"$mergeObjects": [{"$literal": raw}, stamps(stamp)]}}]


def stamps(stamp: Mapping[str, float]) -> Raw:
    return {field: {"$add": [NOW, plus]} for field, plus in stamp.items()}
