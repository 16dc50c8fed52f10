"""What the OpenAPI document allows, asked a hundred thousand times; tests/unit/api/test_asked.py asks less, and tells more."""

from __future__ import annotations

import pytest

from tests.asked.campaign import Campaign

EXAMPLES, CHAINS, AGAIN = 25, 60, 24


@pytest.mark.timeout(900)
def test_no_answer_of_a_hundred_thousand_is_an_error_of_ours() -> None:
    campaign = Campaign(seed=100, again=AGAIN)
    campaign.in_chains(CHAINS)
    campaign.one_by_one(EXAMPLES)
    campaign.close()
    assert not campaign.wrong, campaign.report()
    assert campaign.requests >= 100_000
    taken = {label for label, status in campaign.seen if status < 300}
    assert len(taken) > 0.85 * len({label for label, _ in campaign.seen})
