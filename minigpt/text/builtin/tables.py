"""The facts of the built-in data: small tables of words, with their Vietnamese."""

# word: (its opposite, the word in Vietnamese); every pair is asked in both directions
_PAIRS = """
hot nóng cold lạnh | big to small nhỏ | new mới old cũ | fast nhanh slow chậm
good tốt bad xấu | happy vui sad buồn | wet ướt dry khô | day ngày night đêm
"""
OPPOSITES: dict[str, tuple[str, str]] = {}
for _pair in _PAIRS.replace("\n", "|").split("|"):
    if _pair.strip():
        _a, _a_vi, _b, _b_vi = _pair.split()
        OPPOSITES[_a], OPPOSITES[_b] = (_b, _a_vi), (_a, _b_vi)


def _table(text: str, columns: int) -> list[tuple[str, ...]]:
    rows = [tuple(cell.strip() for cell in row.split(",")) for row in text.replace("\n", "|").split("|") if row.strip()]
    assert all(len(row) == columns for row in rows)
    return rows


# country, its name in Vietnamese, capital, its name in Vietnamese
CAPITALS = _table(
    """
France, Pháp, Paris, Paris | Japan, Nhật Bản, Tokyo, Tokyo | Vietnam, Việt Nam, Hanoi, Hà Nội
Italy, Ý, Rome, Roma | Spain, Tây Ban Nha, Madrid, Madrid | Germany, Đức, Berlin, Berlin
England, Anh, London, Luân Đôn | China, Trung Quốc, Beijing, Bắc Kinh | Egypt, Ai Cập, Cairo, Cairo
Norway, Na Uy, Oslo, Oslo
""",
    4,
)

# thing (as a sentence begins with it), verb, color, the color in Vietnamese
COLORS = _table(
    """
a banana, is, yellow, vàng | grass, is, green, xanh | snow, is, white, trắng | coal, is, black, đen
blood, is, red, đỏ | milk, is, white, trắng | a lemon, is, yellow, vàng | a tomato, is, red, đỏ
""",
    4,
)

# animal, its sound
SOUNDS = _table("cow, moo | dog, woof | cat, meow | duck, quack | sheep, baa | bee, buzz | lion, roar | pig, oink", 2)

# English, Vietnamese
WORDS = _table(
    """
cat, mèo | dog, chó | fish, cá | bird, chim | cow, bò | pig, lợn | sun, mặt trời | moon, mặt trăng
""",
    2,
)

ENGLISH = [english for english, _ in WORDS]


NAMES = ["Lan", "Minh", "Nam", "Mai", "Anna", "Tom", "Sara", "Ben"]
CITIES = ["Hanoi", "Paris", "Rome", "Tokyo", "Hue", "Oslo"]
PETS = ["cat", "dog", "fish", "bird", "pig", "cow"]

# what is reviewed; what a good review says of it; what a bad one says
REVIEWED = ["the film", "the soup", "the book", "the trip", "the cake", "the game", "the show", "the tea"]
PRAISE = ["I loved {}.", "{} was great.", "{} was a joy.", "I enjoyed {}.", "More of {}, please!"]
BLAME = ["I hated {}.", "{} was awful.", "{} was boring.", "I regret {}.", "Never {} again!"]
