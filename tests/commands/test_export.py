"""`python -m minigpt.export`: one folder, of a model and what an adapter changes of it."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from minigpt import GPT, GPTConfig, export, generate, load_template, load_tokenizer
from minigpt.errors import UserError
from minigpt.model.low_rank import merge
from minigpt.run.adapter import write_adapter
from minigpt.run.best import write_model
from minigpt.run.options import Options
from minigpt.run.start import initial_model

IDS = torch.arange(60).view(2, 30) * 4 % 260


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, gpt2_folder: Path) -> Path:
    """init/, a small model with GPT-2's vocabulary, as other programs save one: no control token in it. And mine/, the
    run of an adapter to it: model/ with the adapter merged in, and adapter/ alone."""
    work = tmp_path_factory.mktemp("work")
    torch.manual_seed(2)
    GPT(GPTConfig(n_layer=2, n_embd=8, n_head=2, n_ctx=64)).save_pretrained(work / "init")
    for path in gpt2_folder.iterdir():
        shutil.copy(path, work / "init")
    tokenizer, model = initial_model(Options(init=str(work / "init"), lora_rank=2))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    template = load_template("documents", tokenizer)
    write_model(work / "mine" / "model", merge(model), template)
    write_adapter(work / "mine" / "adapter", model, "init", template)
    return work


@pytest.fixture
def init(work: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(work / "init", tmp_path / "init"))


@pytest.fixture
def learned(work: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(work / "mine", tmp_path / "mine"))


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def texts(folder: Path) -> dict[str, bytes]:
    """All files but the tensors; config.json without the type of the numbers, which only an exported one names."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "model.safetensors"}
    config = json.loads(found.pop("config.json"))
    config.pop("dtype", None)
    return found | {"config.json": json.dumps(config).encode()}


def test_a_run_exported_is_its_model_and_transformers_reads_it(cli, run: Path, tmp_path: Path) -> None:
    done = cli("export", "--model", run, "--out", "some/where")
    assert (done.status, done.err) == (0, "")
    assert re.fullmatch(rf"some/where: {run}, [\d,]+ parameters in float32\.\n", done.out)
    out, model = tmp_path / "some" / "where", run / "model"
    assert texts(out) == texts(model)
    assert all(torch.equal(one, tensors(out)[name]) for name, one in tensors(model).items())
    theirs = transformers.GPT2LMHeadModel.from_pretrained(out).eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs(IDS).logits, GPT.from_pretrained(model)(IDS), rtol=1e-5, atol=1e-5)
    assert theirs.lm_head.weight.data_ptr() == theirs.transformer.wte.weight.data_ptr()
    assert transformers.AutoTokenizer.from_pretrained(out).encode("Hi") == [72, 105]


@pytest.mark.parametrize("named", ["mine/adapter", "mine"], ids=["the adapter", "its run"])
def test_a_model_with_an_adapter_is_the_model_of_its_run_to_the_byte(
    cli, init: Path, learned: Path, named: str, tmp_path: Path
) -> None:
    """Tensors, vocabulary with the tokens that are new, template, and what transformers reads of them."""
    done = cli("export", "--model", init, "--adapter", named, "--out", "out")
    assert (done.status, done.err) == (0, "")
    assert "with mine/adapter merged in" in done.out
    assert texts(tmp_path / "out") == texts(learned / "model")
    found, wanted = tensors(tmp_path / "out"), tensors(learned / "model")
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], one) for name, one in wanted.items())
    assert "<|im_end|>" in transformers.AutoTokenizer.from_pretrained(tmp_path / "out").get_vocab()


def test_the_other_commands_read_what_was_exported(cli, init, learned, questions: Path, no_pictures) -> None:
    assert cli("export", "--model", init, "--adapter", learned, "--out", "out", "--dtype", "bfloat16").status == 0
    brief = "--data", questions, "--max-length", 60
    for command in (
        ("generate", "--model", "out", "--max-new-tokens", 2),
        ("evaluate", "--model", "out", "--data", questions, "--limit", 1, "--max-length", 60),
        ("train", "--init", "out", "--steps", 1, "--batch-size", 1, "--accuracy-rows", 1, *brief),
    ):
        done = cli(*command)
        assert done.status == 0, done.err


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_narrower_numbers_are_named_in_the_config_and_what_they_do_is_printed(
    cli, run: Path, dtype: str, tmp_path: Path
) -> None:
    done = cli("export", "--model", run, "--out", "out", "--dtype", dtype)
    kind, wanted = getattr(torch, dtype), tensors(run / "model")
    found = tensors(tmp_path / "out")
    assert all(torch.equal(found[name], one.to(kind)) for name, one in wanted.items())
    assert {one.dtype for one in found.values()} == {kind}
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == dtype
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "out")
    assert theirs.dtype == kind
    largest = max((one.to(kind).float() - one).abs().max().item() for one in wanted.values())
    if dtype == "float32":
        assert "rounding" not in done.out
    else:
        [(figure, of)] = re.findall(rf"^largest rounding (\S+) of (\S+) \({dtype}\)$", done.out, re.MULTILINE)
        assert float(figure) == pytest.approx(largest, rel=0.05)
        assert re.fullmatch(r"\d\.\de-?\d+", figure)
        spacing = {"bfloat16": 2**-8, "float16": 2**-11}[dtype]
        assert float(figure) <= 1.05 * spacing * float(of)
    ours = generate(GPT.from_pretrained(tmp_path / "out"), [256, 72], 5, temperature=0.0)
    assert len(ours) == 5


def test_a_number_beyond_a_types_range_is_refused_and_nothing_is_left(cli, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "model", tmp_path / "large")
    save_file(tensors(run / "model") | {"ln_f.bias": torch.full((192,), 7e4)}, tmp_path / "large" / "model.safetensors")
    done = cli("export", "--model", "large", "--out", "out", "--dtype", "float16")
    said = "ln_f.bias has numbers up to 7e+04, and float16 holds numbers up to 65,504; use --dtype bfloat16."
    assert (done.status, done.err) == (2, f"export: {said}\n")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("out")]
    assert cli("export", "--model", "large", "--out", "out", "--dtype", "bfloat16").status == 0


def test_what_is_there_is_never_replaced_and_an_empty_folder_is_filled(cli, run: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("all of it")
    (tmp_path / "file").write_text("a file")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("full", "file", "dangling"):
        done = cli("export", "--model", run, "--out", name)
        assert (done.status, done.err) == (2, f"export: {name} is there already; choose another --out.\n")
    assert (tmp_path / "full" / "thesis.txt").read_text() == "all of it"
    (tmp_path / "empty").mkdir()
    assert cli("export", "--model", run, "--out", "empty").status == 0
    assert (tmp_path / "empty" / "model.safetensors").exists()


def test_what_fails_or_is_interrupted_leaves_nothing_behind(
    cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, status in ((KeyboardInterrupt, 130), (OSError(28, "No space left on device"), 2)):

        def fail(*given, error=error) -> None:
            raise error

        monkeypatch.setattr(export, "name_dtype", fail)
        done = cli("export", "--model", run, "--out", "out")
        assert done.status == status
        assert "Traceback" not in done.err
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "out.incoming").mkdir()
    assert (
        "out.incoming is left from an export that was cut off; remove it."
        in cli("export", "--model", run, "--out", "out").err
    )
    assert (tmp_path / "out.incoming").exists()
    (tmp_path / "file").touch()
    assert cli("export", "--model", run, "--out", "file/out").err.startswith("export: ")


def test_the_model_of_an_adapters_own_run_has_it_already(cli, learned: Path) -> None:
    done = cli("export", "--model", "mine", "--adapter", "mine/adapter", "--out", "out")
    said = "mine/model has mine/adapter merged in already; export it without --adapter."
    assert (done.status, done.err) == (2, f"export: {said}\n")


def test_an_adapter_that_does_not_fit_is_one_sentence(cli, run: Path, learned: Path) -> None:
    done = cli("export", "--model", run, "--adapter", "mine/adapter", "--out", "out")
    said = "mine/adapter does not fit: h.0.attn.c_attn has lora_A for 8 inputs; this model has 192."
    assert (done.status, done.err) == (2, f"export: {said}\n")


def test_an_adapter_named_as_a_model_is_answered_with_the_command_that_makes_it_one(
    cli, init: Path, learned: Path, tmp_path: Path
) -> None:
    (learned / "options.json").write_text("{}")  # a run's: its last checkpoint is not the adapter's tensors either
    done = cli("generate", "--model", "mine/adapter")
    assert done.status == 2
    command = re.search(r"and use FOLDER: python -m minigpt\.(.*)", done.err)[1]
    assert cli(*shlex.split(command.replace("FOLDER", "whole"))).status == 0
    assert cli("generate", "--model", "whole", "--max-new-tokens", 1).status == 0


def test_the_tokenizer_that_was_saved_beside_an_adapter_of_another_program_is_the_models(
    cli, init: Path, learned: Path, tmp_path: Path
) -> None:
    (learned / "adapter" / "minigpt.json").unlink()
    assert cli("export", "--model", init, "--adapter", "mine", "--out", "with").status == 0
    assert len(load_tokenizer(tmp_path / "with")) == 50260
    assert "<|im_end|>" in transformers.AutoTokenizer.from_pretrained(tmp_path / "with").get_vocab()
    for path in (learned / "adapter").iterdir():
        if not path.name.startswith("adapter"):
            path.unlink()
    assert cli("export", "--model", init, "--adapter", "mine", "--out", "without").status == 0
    assert (tmp_path / "without" / "vocab.json").read_bytes() == (init / "vocab.json").read_bytes()
    assert not (tmp_path / "without" / "minigpt.json").exists()


def test_a_name_that_is_no_model_is_refused_before_anything_is_made(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="There is no folder nothing"):
        export.main(export.Options(model="nothing", out=Path("out")))
    assert list(tmp_path.iterdir()) == []
