"""transformers' GPT-2 and TRL's DPOTrainer as their users run them, in a separate process that `peer.py` starts.

It imports nothing from minigpt, whose settings of OpenMP and the allocator would speed it up. It reads one JSON object
per line, first the job, then the arguments of each call, and writes one per line.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator


def peak_memory_bytes(device: str) -> int:
    import torch

    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return psutil.Process().memory_info().peak_wset
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def training(model, job: dict):
    """Rows padded to the longest, all logits, label -100 for tokens not supervised, torch's fused AdamW."""
    import torch

    model.train()
    matrices = {p for name, p in model.named_parameters() if ".h." in name and p.dim() == 2}
    groups = [
        {"params": list(matrices), "weight_decay": job["weight_decay"]},
        {"params": [p for p in model.parameters() if p not in matrices], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=job["betas"], fused=True)

    def step(rows: list, lr: float) -> float:
        T = max(len(ids) for ids, _ in rows)
        ids, mask, labels = (torch.full((len(rows), T), fill) for fill in (0, 0, -100))
        for b, (row, supervised) in enumerate(rows):
            ids[b, : len(row)] = torch.tensor(row)
            mask[b, : len(row)] = 1
            labels[b, : len(row)] = torch.tensor(row).where(torch.tensor(supervised), torch.tensor(-100))
        ids, mask, labels = (tensor.to(model.device) for tensor in (ids, mask, labels))
        with torch.autocast(model.device.type, torch.bfloat16, enabled=job["dtype"] == "bfloat16"):
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), job["clip"])
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def generation(model, job: dict):
    """Its `generate`, greedy and without a stop token: the new ids."""
    import torch

    model.eval().generation_config.eos_token_id = None
    prompts = torch.tensor(job["prompts"], device=model.device)
    settings = dict(do_sample=False, max_new_tokens=job["new_tokens"], pad_token_id=0)

    def generate() -> list[list[int]]:
        ids = model.generate(prompts, attention_mask=torch.ones_like(prompts), **settings)
        return ids[:, prompts.shape[1] :].tolist()

    return generate


def preferences(job: dict, calls: Iterator) -> None:
    """TRL's DPOTrainer with its own loop, batches and reference model; a call is a step, up to the end of the next.

    Its defaults are kept but for what would do other work than our side: no gradient checkpointing, which computes
    every activation twice, bfloat16 only where it is asked for, and the rows in the order in which they are given.
    """
    import torch
    import trl
    from datasets import Dataset
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast, TrainerCallback

    class Steps(TrainerCallback):
        def on_train_begin(self, *_, **__) -> None:
            next(calls)

        def on_step_end(self, args, state, control, **_) -> None:
            try:
                calls.send(trainer.loss)
            except StopIteration:  # no more calls
                control.should_training_stop = True

    class Trainer(trl.DPOTrainer):
        def _prepare_dataset(self, dataset, *_):
            """The rows are ids already."""
            return dataset

        def training_step(self, *arguments, **options):
            loss = super().training_step(*arguments, **options)
            self.loss = loss.item()
            return loss

        def create_scheduler(self, num_training_steps: int, optimizer=None):
            """Our learning rates: those of transformers begin with a step at rate 0."""
            shares = [lr / job["lr"] for lr in job["lrs"]]
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                self.optimizer, lambda step: shares[min(step, len(shares) - 1)]
            )
            return self.lr_scheduler

    padding = Tokenizer(models.WordLevel({"<pad>": 0}, "<pad>"))
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    trainer = Trainer(
        job["folder"],
        args=trl.DPOConfig(
            job["folder"] + "/trl", per_device_train_batch_size=job["batch_size"], max_length=None, beta=job["beta"],
            num_train_epochs=1, train_sampling_strategy="sequential", learning_rate=job["lr"],
            weight_decay=job["weight_decay"], adam_beta1=job["betas"][0], adam_beta2=job["betas"][1],
            max_grad_norm=job["clip"], optim="adamw_torch_fused", gradient_checkpointing=False,
            bf16=job["dtype"] == "bfloat16", torch_compile=job["compile"], use_cpu=job["device"] == "cpu",
            disable_tqdm=True, report_to="none", save_strategy="no",
        ),
        train_dataset=Dataset.from_list([dict(zip(names, row, strict=True)) for row in job["rows"]]),
        processing_class=PreTrainedTokenizerFast(tokenizer_object=padding, pad_token="<pad>", eos_token="<pad>"),
        callbacks=[Steps()],
    )  # fmt: skip
    trainer.train()


def every(work: Callable[..., object], calls: Iterator) -> None:
    """Answer each call by one call of `work`."""
    arguments = next(calls)
    try:
        while True:
            arguments = calls.send(work(**arguments))
    except StopIteration:
        return


def timed_calls(device: str, out) -> Iterator[dict]:
    """The arguments of each call; its result is sent in, and goes out with the seconds since."""
    import torch

    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in sys.stdin:
        arguments = json.loads(line)
        start = time.perf_counter()
        result = yield arguments
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        print(
            json.dumps({"seconds": seconds, "result": result, "peak": peak_memory_bytes(device)}), file=out, flush=True
        )


def main() -> None:
    job = json.loads(sys.stdin.readline())
    out, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    import torch

    if job["threads"]:
        torch.set_num_threads(job["threads"])
    calls = timed_calls(job["device"], out)
    if job["mode"] == "dpo":
        preferences(job, calls)
        return
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(job["folder"]).to(job["device"])
    if job["compile"]:
        model = torch.compile(model)
    every({"train": training, "generate": generation}[job["mode"]](model, job), calls)


if __name__ == "__main__":
    main()
