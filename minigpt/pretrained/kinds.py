"""A language model's folder or a reward model's, by what its config.json says. Read with lesson 15."""

from pathlib import Path

from minigpt.config import GPTConfig
from minigpt.errors import UserError
from minigpt.pretrained.locate import locate
from minigpt.pretrained.official import TENSORS
from minigpt.reading import read_object

LANGUAGE = "GPT2LMHeadModel"  # transformers' classes
REWARD = "GPT2ForSequenceClassification"


def is_reward_model(name: str | Path) -> bool:
    """Whether a run or a model's folder holds a reward model. UserError if it is missing or no model's folder."""
    folder = Path(name).expanduser()
    if str(name) in TENSORS and not folder.is_dir():
        return False
    kinds = read_object(locate(folder) / "config.json").get("architectures")
    return isinstance(kinds, list) and REWARD in kinds


def check_kind(folder: Path, reward: bool) -> None:
    """UserError for a reward model where a language model is needed, or the other way round."""
    if is_reward_model(folder) == reward:
        return
    if reward:
        raise UserError(
            f"A reward model is needed, and {folder} is a language model; make one with --method reward: "
            "python -m minigpt.prefer --method reward --init FOLDER."
        )
    raise UserError(
        f"A language model is needed, and {folder} is a reward model: it gives an answer a number and writes none. "
        "It is used by python -m minigpt.prefer --method rl --reward FOLDER."
    )


def values_of_kind(config: GPTConfig, reward: bool) -> dict[str, object]:
    """What config.json says of the kind of model, and of the id to pad with."""
    if not reward:
        pad = {} if config.pad_token_id is None else {"pad_token_id": config.pad_token_id}
        return {"architectures": [LANGUAGE], **pad}
    labels = {"id2label": {"0": "reward"}, "label2id": {"reward": 0}}
    return {"architectures": [REWARD], **labels, "pad_token_id": padding_id(config)}


def padding_id(config: GPTConfig) -> int:
    """The id to pad a reward model's rows with, one that ends no answer: transformers reads a reward at the last token
    that is not this id. The config's own, else an unused row of the vocabulary, else the last id that ends no text."""
    eos = config.bos_token_id if config.eos_token_id is None else config.eos_token_id
    ends = eos if isinstance(eos, tuple) else (eos,)
    rows = [*range(config.tokens, config.vocab_size), *reversed(range(config.tokens))]
    own = [config.pad_token_id] if config.pad_token_id in rows else []
    return next(i for i in own + rows if i not in ends)
