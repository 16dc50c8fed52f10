"""What there was at one moment of a recording, as the documents' own types: decoded once, from the text into these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ave.api.telling import told
from ave.api.view import SHOWN

LOG = "log"
FAULT = "fault"  # who tells of them

Said = tuple[float, str, str, Mapping[str, Any]]  # a line of the log: when, who, event, fields


class Text(msgspec.Struct, frozen=True, array_like=True):
    """A line of a recording whose document is still to be decoded."""

    rev: int
    t: float
    kind: str
    doc: msgspec.Raw

    @property
    def change(self) -> tuple[str, str, Any]:
        """Kind, id and the document; None: it is gone."""
        name = _name(self.doc)
        return self.kind, name.id, None if name.gone else _DECODERS[self.kind](self.doc)

    @property
    def fault(self) -> Said | None:
        """What befell the cluster, if this line of the log tells that."""
        if b'"fault"' not in bytes(self.doc):
            return None
        fields = msgspec.json.decode(self.doc)
        if fields.pop("who", "") != FAULT:
            return None
        return self.t, FAULT, str(fields.pop("event", "")), {**fields, "level": FAULT}


class _Name(msgspec.Struct, frozen=True):
    id: str = ""
    gone: bool = False


class Moment(msgspec.Struct):
    rev: int
    docs: dict[str, dict[str, Any]]
    log: list[Said]


read = msgspec.json.Decoder(Text).decode
_name = msgspec.json.Decoder(_Name).decode
_DECODERS = {kind.name: msgspec.json.Decoder(kind.type).decode for kind in SHOWN}
_Docs = msgspec.defstruct("_Docs", [(kind.name, list[kind.type], []) for kind in SHOWN])  # type: ignore[name-defined]
_keyframe: Any = msgspec.json.Decoder(msgspec.defstruct("_Keyframe", [("keyframe", _Docs), ("rev", int)])).decode


def moment_of(text: Sequence[bytes]) -> Moment:
    """``text``: a keyframe and the lines from there (``Recording.text``); so far back goes the log."""
    if not text:
        return Moment(0, {kind.name: {} for kind in SHOWN}, [])
    keyframe = _keyframe(text[0])
    docs = {kind.name: {doc.id: doc for doc in getattr(keyframe.keyframe, kind.name)} for kind in SHOWN}
    moment = Moment(keyframe.rev, docs, [])
    for line in map(read, text[1:]):
        moment.rev = line.rev
        if line.kind == LOG:
            if (fault := line.fault) is not None:
                moment.log.append(fault)
        elif (of_kind := docs.get(line.kind)) is not None:
            _, id, new = line.change
            old = of_kind.pop(id, None)  # popped, so that it goes to the end
            if new is not None:
                of_kind[id] = new
            if (said := told(line.kind, old, new)) is not None:
                moment.log.append((line.t, said.who, said.event, {"why": said.why}))
    return moment
