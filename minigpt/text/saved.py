"""What a model's folder says about its text, for minigpt and for transformers: written, and read back."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from minigpt.errors import UserError, warn
from minigpt.pretrained.folder import read_config, write_config
from minigpt.pretrained.kinds import is_reward_model
from minigpt.reading import read_object
from minigpt.text.added_tokens import CONTROL
from minigpt.text.chat_template import jinja, recognized

if TYPE_CHECKING:
    from minigpt.text.template import Template
    from minigpt.text.tokenizer import Tokenizer

# What a model's folder holds beside config.json and the tensors.
TEXT_FILES = (
    "minigpt.json", "tokenizer.json", "vocab.json", "merges.txt", "encoder.json", "vocab.bpe", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "generation_config.json", "chat_template.jinja",
    "chat_template.json",
)  # fmt: skip
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def write_note(folder: Path, template: "Template") -> None:
    """Write what minigpt and transformers need to use a model's folder with this template and its tokenizer.

    minigpt.json; the vocabulary as tokenizer.json and, of byte pairs, as vocab.json and merges.txt; the settings of the
    tokenizer and of generation; the template as Jinja. A config.json that is there gets the ids that begin and end a
    text. In a reward model's folder the padding is a token that ends no answer, and the Jinja lays out nothing after a
    last answer's end, where its reward is read.
    """
    tokenizer = template.tokenizer
    reward = (folder / "config.json").exists() and is_reward_model(folder)
    names = {number: token for token, number in tokenizer.ids.items()}
    bos = tokenizer.control[CONTROL[0]]
    end = bos if template.name is None else template.end
    pad = tokenizer.control["<|im_start|>"] if reward and end == bos else bos
    ends = [end, *sorted({*tokenizer.control.values()} - {end})]  # chat stops at any control token
    generation = {"bos_token_id": bos, "eos_token_id": ends, "pad_token_id": pad}
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{f"{role}_token": names[number] for role, number in (("bos", bos), ("eos", end), ("pad", pad))},
        "clean_up_tokenization_spaces": False,
        "model_input_names": [
            "input_ids",
            "attention_mask",
        ],  # GPT-2 adds the embeddings of token_type_ids
    }
    if (folder / "config.json").exists():
        config = replace(
            read_config(folder), bos_token_id=bos, eos_token_id=end if end != bos else None, pad_token_id=pad
        )
        write_config(folder, config, reward)
        settings["model_max_length"] = config.n_ctx
        if config.n_padding_rows:
            generation["suppress_tokens"] = list(range(config.tokens, config.vocab_size))
    files = tokenizer.files() | {
        "minigpt.json": json.dumps({"tokenizer": tokenizer.name, "template": template.name}) + "\n",
        "tokenizer.json": json.dumps(tokenizer_json(tokenizer), ensure_ascii=False) + "\n",
        "tokenizer_config.json": json.dumps(settings, indent=2) + "\n",
        "generation_config.json": json.dumps(generation, indent=2) + "\n",
    }
    chat_template = folder / "chat_template.jinja"
    chat_template.unlink(missing_ok=True)
    if template.name is not None:
        files[chat_template.name] = jinja(template, names[bos], reward)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def has_text_files(folder: Path) -> bool:
    """Whether a folder says what its tokens are."""
    return any((folder / name).exists() for name in TEXT_FILES[:5])


def copy_text_files(source: Path, target: Path) -> None:
    """Give a model's folder what another one's says about its text, as it stands there."""
    for name in TEXT_FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)


def tokenizer_json(tokenizer: "Tokenizer") -> dict:
    """The tokenizer in the format of Hugging Face's `tokenizers`: byte-level BPE, for byte tokens without a merge."""
    added = {number: token for token, number in tokenizer.ids.items() if number in tokenizer.control.values()}
    added |= {number: token for token, number in tokenizer.words.items()}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": added[number], **flags, "special": added[number] not in tokenizer.words}
            for number in sorted(added)
        ],
        "normalizer": None,
        "pre_tokenizer": BYTE_LEVEL,
        "post_processor": None,
        "decoder": BYTE_LEVEL,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": tokenizer.ids,
            "merges": tokenizer.merges,
        },
    }


def read_note(folder: Path) -> dict[str, str | None]:
    """A model folder's minigpt.json: the tokenizer and the template it was trained with, null for plain text."""
    path = folder / "minigpt.json"
    note = read_object(path, "it names the model's tokenizer and template")
    for key, kinds in (("tokenizer", str), ("template", str | None)):
        if key not in note or not isinstance(note[key], kinds):
            raise UserError(f"{path}: the key {key!r} is missing or not text.")
    return note


def ends_of(folder: Path, control: dict[str, int]) -> tuple[int, ...]:
    """<|endoftext|>, and the other control tokens that config.json or generation_config.json let a text end with."""
    ends = [control[CONTROL[0]]]
    for path in (folder / "config.json", folder / "generation_config.json"):
        said = read_object(path).get("eos_token_id") if path.exists() else None
        ends += said if isinstance(said, list) else [said]
    own = {*control.values()}  # elsewhere an end that was copied from GPT-2's config may be the number of a word
    return tuple(dict.fromkeys(end for end in ends if isinstance(end, int) and end in own))


def saved_template(folder: Path) -> str | None:
    """The template in minigpt.json, None for plain text; without that file the one that the folder's own chat template
    looks like, or chatml. What is only likely is said on standard error."""
    if (folder / "minigpt.json").exists():
        return read_note(folder)["template"]
    found = likely_template(folder)
    if _chat_template(folder) is not None:
        looks = "looks like" if found else "is none of minigpt's; conversations are laid out as"
        warn(f"the chat template in {folder} {looks} {found or 'chatml'}; --template chooses another.")
    return found or "chatml"


def likely_template(folder: Path) -> str | None:
    """Which of our templates the chat template of another program's folder looks like, if it does."""
    theirs = _chat_template(folder)
    return None if theirs is None else recognized(theirs)


def _chat_template(folder: Path) -> str | None:
    """The chat template of a folder that another program wrote, from the first place that has one."""
    path = folder / "chat_template.jinja"
    if path.exists():
        return path.read_text(encoding="utf-8", errors="replace")
    for path in (folder / "chat_template.json", folder / "tokenizer_config.json"):
        if path.exists() and (said := read_object(path).get("chat_template")):
            several = said if isinstance(said, list) else [{"template": said}]
            return "\n".join(str(one.get("template") if isinstance(one, dict) else one) for one in several)
    return None
