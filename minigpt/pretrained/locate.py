"""From what a user names to the folder with config.json, or a sentence on what was found there instead."""

import shlex
from pathlib import Path

from minigpt.errors import UserError, warn
from minigpt.pretrained.checkpoint_folder import checkpoints, refuse_earlier, step_of
from minigpt.pretrained.official import TENSORS
from minigpt.pretrained.tensor_files import resume_command, tensor_file
from minigpt.reading import read_object, refuse_mistaken

LAYOUT = "a model is a folder with config.json and model.safetensors"
# Formats that are not read, by the files that are their mark.
OTHER_FORMATS = {
    "*.gguf": "llama.cpp's format",
    "*.h5": "TensorFlow's format",
    "model.ckpt.*": "TensorFlow's format",
    "flax_model.msgpack": "Flax's format",
    "*.onnx": "ONNX's format",
}


def locate(folder: Path) -> Path:
    """The folder with config.json that `folder` means: itself, model/ of a run, or its only folder that has one.

    UserError if it does not exist, or if it is a file, an adapter, a run without a model or another program's format.
    """
    if folder.is_file():
        refuse_mistaken(folder)
        raise UserError(f"{folder} is a file; {LAYOUT}: give the folder, {folder.parent}.")
    if not folder.is_dir():
        sizes = ", ".join(TENSORS)
        raise UserError(f"There is no folder {folder}; {LAYOUT}, and {sizes} are the official ones.")
    if (folder / "config.json").exists():
        return folder
    refuse_adapter(folder)
    if (folder / "model" / "config.json").exists():
        if not tensor_file(folder / "model"):
            refuse_unfinished(folder)
        return folder / "model"
    refuse_unfinished(folder)
    inner = [path.parent for pattern in ("*", "snapshots/*") for path in folder.glob(f"{pattern}/config.json")]
    if len(inner) > 1:
        raise UserError(f"{folder} holds several models; give one of {', '.join(map(str, sorted(inner)))}.")
    if not inner:
        refuse_other_formats(folder)
        return folder
    warn(f"{inner[0]} is used: the only model in {folder}.")
    return inner[0]


def refuse_unfinished(run: Path) -> None:
    """UserError for a run's folder that holds no model, with the command that continues it."""
    if (run / "options.json").exists():
        kept = checkpoints(run / "checkpoint")
        if kept:
            refuse_earlier(kept[-1])
        stopped = f"it stopped at step {step_of(kept[-1])}" if kept else "it stopped before its first checkpoint"
        raise UserError(f"{run} is a run without a model yet: {stopped}. To continue it: {resume_command(run)}")


def refuse_adapter(folder: Path) -> None:
    """UserError for an adapter's folder, with the command that makes a whole model of it."""
    path = folder / "adapter_config.json"
    if path.exists():
        base = read_object(path).get("base_model_name_or_path")
        merge = ["python", "-m", "minigpt.export", "--model", str(base), "--adapter", str(folder), "--out", "FOLDER"]
        raise UserError(
            f"{folder} is an adapter of the model {base!r} ({path.name}), not a whole model. Merge it into that model, "
            f"and use FOLDER: {shlex.join(merge)}"
        )


def refuse_other_formats(folder: Path) -> None:
    """UserError for a folder without a file of tensors that can be read, if it holds an adapter or another format."""
    if tensor_file(folder):
        return
    refuse_adapter(folder)
    for pattern, format_name in OTHER_FORMATS.items():
        if found := next(folder.glob(pattern), None):
            raise UserError(
                f"{found} is in {format_name}, which is not read; save the model as safetensors in Hugging Face's "
                "layout (config.json, model.safetensors)."
            )
    if len(several := [path.name for path in sorted(folder.glob("*.safetensors"))]) > 1:
        raise UserError(f"{folder} holds {', '.join(several)}, but no index that says which tensors are in which.")
