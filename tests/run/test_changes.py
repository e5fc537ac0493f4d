"""Lesson 09: what a resumed or repeated run says of its data and its versions."""

import pytest

from minigpt.errors import UserError
from minigpt.run.changes import Changes

RUN = {"sha256": {"rows.jsonl": "a" * 64}, "init_sha256": {}, "version": "0.1.0", "torch": "2.9"}


@pytest.mark.parametrize("other", [{"version": "0.0.9"}, {"torch": "2.6"}], ids=str)
def test_other_versions_are_reported_where_the_same_losses_are_expected(
    other: dict, capsys: pytest.CaptureFixture
) -> None:
    """And only there: the last digits of a resumed run may differ too, but nobody compares them."""
    for earlier, repeating, is_reported in ((RUN | other, True, True), (RUN, True, False), (RUN | other, False, False)):
        Changes(earlier, {}, repeating).check_files(RUN)
        assert ("the last digits may differ" in capsys.readouterr().out) == is_reported


@pytest.mark.parametrize("key", ["sha256", "init_sha256"])
@pytest.mark.parametrize("now", [{"rows.jsonl": "b" * 64}, {}], ids=["changed", "gone"])
@pytest.mark.parametrize("repeating", [True, False])
def test_a_file_that_changed_or_is_gone_is_refused_by_its_name(key: str, now: dict, repeating: bool) -> None:
    earlier = RUN | {key: RUN["sha256"]}
    with pytest.raises(UserError, match=r"rows\.jsonl changed since the run was started"):
        Changes(earlier, {}, repeating).check_files(RUN | {key: now})
    Changes(earlier, {}, repeating).check_files(RUN | {key: RUN["sha256"] | {"another.jsonl": "c" * 64}})
