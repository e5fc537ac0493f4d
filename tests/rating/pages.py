"""Keys of small pages, for tests."""

from collections.abc import Sequence

from minigpt.rating.key import Item, Key, Language, Side


def fixed_key(
    items: Sequence[tuple[str, Sequence[str]]] = (("2 + 2?", ("4", "5")),) * 3,
    language: Language = "en",
    first_model: int = 0,
) -> Key:
    """The key of a page with these prompts and answers. The model `first_model` wrote each item's first answer."""
    made = []
    for n, (prompt, answers) in enumerate(items):
        sides = tuple(Side(f"{n:x}{place:x}", first_model ^ place, text) for place, text in enumerate(answers))
        made.append(
            Item(f"item-{n}", [{"role": "user", "content": prompt}], sides, f"secret source {n}", "secret kind")
        )
    return Key(("secret model one", "secret model two"), tuple(made), 5, 987654321, 0.123456789, language)
