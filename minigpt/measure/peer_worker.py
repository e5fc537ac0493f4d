"""transformers' GPT-2 as its users run it, in a separate process that `peer.py` starts.

It imports nothing from minigpt, whose settings of OpenMP and the allocator would speed it up. It reads one JSON object
per line, first the job, then the arguments of each call, and writes one per line.
"""

import json
import sys
import time


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


def main() -> None:
    job = json.loads(sys.stdin.readline())
    import torch
    from transformers import GPT2LMHeadModel

    if job["threads"]:
        torch.set_num_threads(job["threads"])
    model = GPT2LMHeadModel.from_pretrained(job["folder"]).to(job["device"])
    if job["compile"]:
        model = torch.compile(model)
    work = {"train": training, "generate": generation}[job["mode"]](model, job)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        arguments = json.loads(line)
        start = time.perf_counter()
        result = work(**arguments)
        if job["device"] == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "result": result, "peak": peak_memory_bytes(job["device"])}), flush=True)


if __name__ == "__main__":
    main()
