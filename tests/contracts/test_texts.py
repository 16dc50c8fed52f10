"""Whatever a user writes is kept as it was written, or refused; no store is upset by it, nor takes it for words of its own."""

from typing import Any

import pytest

from ave.errors import Refused
from ave.kinds import KINDS
from ave.model.audit import Record
from ave.model.vm import VM
from ave.model.work import LEAD, Work
from ave.ports.store import Change, Check, In, Insert
from tests.unit.api.test_corpus import TEXTS


def kept(text):
    return text if len(text) < 5000 else text[:5000]


def test_any_text_is_kept_in_values_keys_and_ids(stores):
    with stores(KINDS) as (process, store):

        async def main():
            upset = []
            for number, text in enumerate(map(kept, TEXTS)):
                arguments = {"vms": [{"id": text, "labels": {text: text}}], text: {text: [text]}}
                docs: list[Any] = [
                    Work(
                        id=f"w{number}", job="j", function=LEAD, lane="h1", arguments=arguments, user=text, tenant=text
                    ),
                    VM(id=f"v{number}", vcpus=1, memory_mib=1, name=text, labels={text: text}, tenant=text),
                    VM(id=f"id {text}", vcpus=1, memory_mib=1),
                    Record(
                        id=f"r{number}",
                        host="h1",
                        number=number,
                        previous="",
                        user=text,
                        token="",
                        operation="x",
                        things=(text,),
                    ),
                ]
                for doc in docs:
                    try:
                        (made,) = await store.commit(Insert(doc))
                        again = await store.get(type(doc), doc.id)
                        (found,) = await store.find(type(doc), {"id": In((doc.id,))})
                        if not made == again == found:
                            upset.append((text[:30], type(doc).__name__, "is another"))
                    except Refused:
                        continue
                    except Exception as error:
                        upset.append((text[:30], type(doc).__name__, repr(error)[:200]))
            assert not upset, "\n".join(map(str, upset))

        process.run(main(), 120.0)


@pytest.mark.parametrize(
    "text", ["$gt", "$where", "a.b", "", "x\x00", "' OR '1'='1", '{"$gt": ""}', "$version", "$$NOW"]
)
def test_what_is_looked_for_and_set_is_a_text_and_no_expression(stores, text):
    with stores(KINDS) as (process, store):

        async def main():
            await store.commit(Insert(VM(id="a", vcpus=1, memory_mib=1, tenant="acme", name="n")))
            assert await store.find(VM, {"tenant": text}) == []
            assert await store.find(VM, {"id": In((text,))}) == []
            try:
                made, _ = await store.commit(Change(VM, "a", {}, {"name": text}), Check(VM, "b", None))
            except Refused:
                return
            assert made.name == text
            (made,) = await store.commit(Change(VM, "a", {"name": text}, {"host": text}, stamp={}))
            assert made.host == text
            assert (await store.get(VM, "a")) == made

        process.run(main(), 60.0)
