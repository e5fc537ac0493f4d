"""From ratings to preferences: the pairs that a majority decided, as `prefer` reads them."""

from minigpt.rating.summary import Summary


def preference_rows(summary: Summary) -> list[dict]:
    """A row for each item with more than half of its votes for one answer, which becomes the chosen one. Left out are
    items with an empty answer, which cannot be learned from."""
    rows = []
    for item in summary.key.items:
        if type(winner := summary.majorities[item.id]) is int:
            chosen, rejected = item.answers[winner], item.answers[1 - winner]
            if chosen and rejected:
                rows.append({"prompt": item.messages, "chosen": chosen, "rejected": rejected, "kind": item.kind})
    return rows
