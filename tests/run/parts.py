"""What each of two processes does with checkpoints, for test_parts.py: python -m torch.distributed.run ... FOLDER"""

import errno
import json
import os
import sys
from pathlib import Path
from unittest.mock import patch

import torch

from minigpt.cli.processes import ending_at_once
from minigpt.errors import UserError
from minigpt.learn.parallel import join
from minigpt.run.checkpoint import load_checkpoint, own_rows, path_of, save_checkpoint
from tests.run.test_checkpoint import new_trainer


def said(work, *args: object) -> str:
    try:
        work(*args)
    except UserError as error:
        return str(error)
    return "nothing"


def main(folder: Path) -> None:
    with ending_at_once():
        team = join("cpu")
        found = {}
        replicas = new_trainer(seed=2, team=team)
        load_checkpoint(folder / "whole", replicas)
        save_checkpoint(folder / "by replicas", replicas)

        trainer = new_trainer(seed=3, team=team, sharded=True)
        load_checkpoint(folder / "whole", trainer)
        save_checkpoint(folder / "parts", trainer)
        again = new_trainer(seed=4, team=team, sharded=True)
        load_checkpoint(folder / "parts", again)
        save_checkpoint(folder / "parts of parts", again)

        def full(handle: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        trainer.step += 1
        with patch.object(os, "fsync", os.fsync if team.leads else full):
            found["full disk of the second"] = said(save_checkpoint, folder / "parts", trainer)
        with patch.object(os, "fsync", full if team.leads else os.fsync):
            replicas.step += 1
            found["full disk of the first"] = said(save_checkpoint, folder / "by replicas", replicas)
        for again.step in (2, 3):
            save_checkpoint(folder / "removed", again, 1)

        if not team.leads:
            own_rows(trainer.model.wte.weight.detach())[0][-1, 0] = torch.nan
        found["NaN of the second"] = said(save_checkpoint, folder / "parts", trainer)
        if team.leads:
            path_of(folder / "whole", 3).mkdir()
        team.any(0)
        found["broken"] = said(load_checkpoint, folder / "whole", trainer)
        (folder / f"said-{team.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
