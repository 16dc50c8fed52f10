"""What the OpenAPI document allows is asked of a simulated cluster, five thousand times; tests/soak asks more."""

from __future__ import annotations

from typing import Any

import pytest

from ave.api import answers
from tests.asked.campaign import Campaign

EXAMPLES, CHAINS, AGAIN = 3, 30, 9


@pytest.mark.timeout(400)
def test_no_answer_is_an_error_of_ours_or_other_than_the_document_says() -> None:
    campaign = Campaign(seed=1, again=AGAIN)
    campaign.in_chains(CHAINS)
    campaign.one_by_one(EXAMPLES)
    campaign.close()
    assert not campaign.wrong, campaign.report()
    assert campaign.requests >= 5_000
    assert max(status for _, status in campaign.seen) < 500


def test_it_finds_a_bug_and_an_answer_of_another_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    async def bug(*_: Any) -> Any:
        raise KeyError("a bug put in on purpose")

    async def other(*_: Any) -> Any:
        return {"items": 7}

    monkeypatch.setitem(answers.ANSWERS, "zone.list", bug)
    monkeypatch.setitem(answers.ANSWERS, "alarm.list", other)
    campaign = Campaign(seed=1, again=0, only=r"/v1/(zones|alarms)$")
    campaign.one_by_one(2)
    campaign.close()
    assert {label for label, _ in campaign.wrong} == {"GET /v1/zones", "GET /v1/alarms", "a bug"}
    assert ("GET /v1/zones", "ServerError") in campaign.wrong


def test_the_same_seed_asks_the_same_and_is_answered_the_same() -> None:
    def seen() -> Any:
        campaign = Campaign(seed=5, again=3, only=r"/v1/vms")
        campaign.one_by_one(1)
        campaign.close()
        return campaign.seen

    assert seen() == seen()
