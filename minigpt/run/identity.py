"""What a run is made from: data, initial weights, tokenizer. They are known by their bytes, wherever they lie."""

import os
from pathlib import Path

from minigpt.errors import UserError
from minigpt.preference.reward_files import function_of
from minigpt.pretrained.folder import model_folder, weights_sha256
from minigpt.pretrained.official import TENSORS
from minigpt.reading import sha256
from minigpt.text.records import BUILTIN_NAMES, is_from_hub

# Options that name files: other names for the same bytes are the same.
NAMING = ("data", "valid", "init", "tokenizer", "reward")
VOCABULARY = ("added_tokens.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "vocab.json")
Files = list[tuple[str, str]]  # names with their SHA-256


def check_present(options: object) -> None:
    """UserError for a file that is no longer where an earlier run found it, before anything is read."""
    names = [("data", name) for name in options.data if name not in BUILTIN_NAMES]
    names.append(("valid", options.valid))
    others = [(option, getattr(options, option, None)) for option in ("init", "tokenizer", "reward")]
    names += [(option, name) for option, name in others if name not in TENSORS]
    for option, name in names:
        if name and option == "reward":
            name = file_of(name)
        if name not in (None, "scratch", "bytes", "exact") and not is_from_hub(name) and not os.path.exists(name):
            raise UserError(
                f"{name} is not where the run found it. If it was moved, add --{option} with its new path; the same "
                "bytes are accepted under any name."
            )


def checksums(options: object, data: dict[str, str]) -> dict[str, dict[str, str]]:
    """What options.json holds of the files of --data, --valid, --init, --tokenizer and --reward: their SHA-256."""
    name = getattr(options, "tokenizer", options.init)
    tokenizer = {str(name): str(name)}
    if name not in ("bytes", *TENSORS):
        files = [path for file in VOCABULARY if (path := model_folder(name) / file).is_file()]
        tokenizer = {str(path): sha256(path) for path in files} or {"bytes": "bytes"}
    weights = {} if options.init == "scratch" else weights_sha256(options.init)
    found = {"sha256": data, "init_sha256": weights, "tokenizer_sha256": tokenizer}
    reward = getattr(options, "reward", None)
    if reward not in (None, "exact"):
        path = file_of(reward)
        found["reward_sha256"] = {path: sha256(Path(path))} if os.path.isfile(path) else weights_sha256(path)
    return found


def file_of(reward: str) -> str:
    """The file of FILE.py:NAME, or the folder of a reward model."""
    return named[0] if (named := function_of(reward)) else reward


def check_same(earlier: dict, now: dict) -> None:
    """UserError naming the file if what a run is made from `now` are not the bytes of `earlier`; both are what their
    options.json say."""
    if "tokenizer_sha256" not in earlier:  # the run of an earlier version, whose tokenizer is known by its name
        now = {key: value for key, value in now.items() if key != "tokenizer_sha256"}
    was, becomes = _files(earlier), _files(now)
    for option, before in was.items():
        after = becomes[option]
        for (old, sha), (name, found) in zip(before, after, strict=False):
            if sha != found:
                changed = f"{name} changed since" if name == old else f"{name} is not the {old} with which"
                raise UserError(f"{changed} the run was started (its SHA-256 differs); continuing would mix two runs.")
        if len(before) != len(after):
            raise UserError(
                f"The run was started with {_listed(before)} for --{option} and would go on with {_listed(after)}: "
                "that is another run; start a new one."
            )


def _files(record: dict) -> dict[str, Files]:
    known, valid, names = record.get("sha256", {}), record.get("valid"), record.get("data", [])
    if all(name in known for name in names):
        data = [(name, known[name]) for name in names]
    else:  # builtin and folders are several files
        data = [(name, sha) for name, sha in known.items() if name != valid]
    name = "that of --init" if record.get("tokenizer") == record.get("init") else str(record.get("tokenizer"))
    return {
        "data": data,
        "valid": [(valid, known.get(valid, ""))] if valid else [],
        "init": sorted(record.get("init_sha256", {}).items(), key=lambda file: Path(file[0]).name),
        "tokenizer": list(record.get("tokenizer_sha256", {name: name}).items()),
        "reward": sorted(record.get("reward_sha256", {}).items(), key=lambda file: Path(file[0]).name),
    }


def _listed(files: Files) -> str:
    return ", ".join(name for name, _ in files[:3]) + ", ..." * (len(files) > 3) or "nothing"
