"""Options under the names that they have elsewhere: other programs' words, British spelling, slips of the finger."""

import difflib
from collections.abc import Iterable, Mapping

# Our name, and what the same thing is called in other programs. The first of ours that a command has is suggested.
SYNONYMS = {
    "lr": "learning-rate learning rate peak-lr max-lr",
    "min-lr": "min-learning-rate lr-min final-lr",
    "epochs": "num-epochs n-epochs num-train-epochs max-epochs passes",
    "steps": "max-steps num-steps n-steps max-iters iters iterations num-iterations train-steps total-steps",
    "lora-rank": "lora-r lora r rank peft-r lora-dim",
    "lora-alpha": "alpha peft-alpha scale",
    "adapter": "lora lora-path peft adapter-path",
    "batch-size": "bs train-batch-size per-device-train-batch-size global-batch-size total-batch-size",
    "micro-batch-size": "mbs device-batch-size gradient-accumulation-steps grad-accum accumulate",
    "run": "output output-dir out-dir outdir save-dir log-dir run-dir run-name name experiment o",
    "json": "output output-file out report results o",
    "out": "output output-file file o figure png",
    "plot": "output output-file out histogram histograms figure png o",
    "to-chatml": "chatml convert export",
    "to-preferences": "preferences to-pairs pairs convert export",
    "models": "model compare runs run m",
    "language": "lang locale",
    "init": "model base-model base pretrained from-pretrained init-from checkpoint ckpt weights finetune fine-tune m",
    "model": "init run checkpoint ckpt base-model pretrained weights folder path load m",
    "max-new-tokens": "max-tokens new-tokens num-tokens n-tokens max-length length max-gen-len n-predict n",
    "new-tokens": "max-new-tokens max-tokens num-tokens",
    "n-ctx": "context context-length context-size block-size n-positions seq-len sequence-length window",
    "max-length": "context context-length context-size block-size seq-len seq-length sequence-length max-len "
    "max-seq-len max-seq-length cutoff-len t-max n-ctx",
    "n-layer": "layers n-layers num-layers num-hidden-layers depth",
    "n-head": "heads n-heads num-heads num-attention-heads",
    "n-embd": "embd d-model dim hidden hidden-size embedding-size embed-dim channels n-channels width",
    "dropout": "drop p-dropout resid-pdrop",
    "clip": "grad-clip clip-grad clip-norm max-grad-norm gradient-clipping",
    "betas": "beta beta1 beta2 adam-betas adam-beta1 adam-beta2",
    "weight-decay": "wd decay l2",
    "warmup-steps": "warmup warm-up warmup-iters num-warmup-steps lr-warmup-steps",
    "eval-every": "eval-interval eval-steps eval-freq val-every val-interval validate-every evaluate-every",
    "checkpoint-every": "save-every save-steps save-interval checkpoint-interval checkpointing-steps ckpt-every",
    "keep": "save-total-limit keep-last max-checkpoints",
    "keep-best": "save-best best load-best-model-at-end",
    "patience": "early-stopping early-stop early-stopping-patience",
    "data": "dataset datasets data-path data-dir data-file train train-data train-file input inputs corpus text "
    "files file d",
    "valid": "validation validation-data validation-file valid-data valid-file val val-data val-file eval-data "
    "eval-file test test-data dev held-out",
    "tokenizer": "vocab vocabulary encoding bpe tok",
    "template": "chat-template prompt-template format layout",
    "resume": "continue restore restart resume-from resume-from-checkpoint",
    "supervise": "mask mask-prompt train-on train-on-inputs completion-only",
    "skip-bad": "skip-errors ignore-errors ignore-bad",
    "accuracy-rows": "test-rows eval-rows",
    "limit": "max-rows num-rows rows n-rows max-examples max-samples num-examples n",
    "rows": "limit num-rows n-rows examples num-examples show n",
    "prompt": "text input start p",
    "samples": "num-samples n-samples num-return-sequences count n",
    "system": "system-prompt system-message",
    "temperature": "temp t",
    "top-k": "k topk",
    "top-p": "p topp nucleus",
    "seed": "random-seed rng-seed random-state",
    "device": "gpu cuda accelerator",
    "dtype": "precision fp16 bf16 mixed-precision amp half",
    "compile": "torch-compile",
    "math": "explicit kernels",
    "color": "colors ansi",
    "size": "model-size arch architecture preset",
    "config": "settings config-file options args-file",
}
# The same for the commands.
COMMAND_SYNONYMS = {
    "train": "finetune fine-tune fit learn pretrain",
    "evaluate": "eval test validate score perplexity",
    "generate": "sample complete continue infer inference predict",
    "chat": "talk repl converse",
    "view": "show inspect data dataset",
    "bench": "benchmark speed profile",
    "plot": "draw graph figure loss",
    "download": "fetch get pull",
    "rate": "annotate judge label people ratings survey vote",
    "export": "merge convert save",
}
AMERICAN = {"colour": "color", "grey": "gray", "centre": "center", "behaviour": "behavior", "tokeniser": "tokenizer"}
WITH_Z = ("optim", "normal", "initial", "summar")
AMERICAN |= {word + "is" + end: word + "iz" + end for word in WITH_Z for end in ("e", "er")}
NEAR = 0.75  # share of the letters that two names have in common, from which one may be a slip for the other


def american(name: str) -> str:
    """A name of several words with each in American spelling, as the options' names and values are."""
    return "-".join(AMERICAN.get(word, word) for word in name.split("-"))


def dashed(flag: str) -> str:
    return flag.lstrip("-").replace("_", "-")


def suggestion(given: str, names: list[str], prefix: str, prog: str) -> str:
    """The end of the sentence that there is no `given`."""
    if name := synonym(given, names):
        return f"here it is called {prefix}{name}."
    if name := nearest(given, names):
        return f"did you mean {prefix}{name}?"
    return f"{prog} --help lists the options."


def synonym(given: str, known: Iterable[str], synonyms: Mapping[str, str] = SYNONYMS) -> str | None:
    """The one of the known names that means what `given` means elsewhere."""
    known = set(known)
    return next((ours for ours, others in synonyms.items() if ours in known and given in others.split()), None)


def nearest(given: str, known: Iterable[str]) -> str | None:
    """The known name that `given` most likely is a slip for, or the only one that has all of its words; else None."""
    known = list(known)
    if near := difflib.get_close_matches(given, known, n=1, cutoff=NEAR):
        return near[0]
    words = set(given.split("-"))
    whole = [name for name in known if words <= set(name.split("-"))]
    starts = [name for name in known if len(given) > 2 and name.startswith(given)]
    return next((found[0] for found in (whole, starts) if len(found) == 1), None)
