"""lessons/documents.md lists what the code cites, and its figures are those of the code."""

import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import minigpt
from lessons.harness.links import cited
from minigpt import GPT, load_template
from minigpt.config import GPTConfig
from minigpt.learn.loss import perplexity
from minigpt.measure.cost import forward_flops, training_bytes
from minigpt.measure.gradients import gradient_parts
from minigpt.text.examples import encode_within
from minigpt.text.records import BUILTIN, read_conversations
from minigpt.text.tokenizer import CONTROL, ByteTokenizer

PACKAGE = Path(minigpt.__file__).parent
PAGE = (Path(__file__).parents[2] / "lessons" / "documents.md").read_text("utf-8")
TEXT = " ".join(PAGE.split())  # without line breaks

ROW = re.compile(r"^\| ([A-E] \d+(?:\.\d+)?) \| .* \| ([^|]*?) ?\| ([^|]*) \|$", re.M)
ROWS = {section: (re.findall(r"\d+\.\d+", formulas), home) for section, formulas, home in ROW.findall(PAGE)}
SIZE = re.compile(r"^\| `(gpt2[\w-]*)` \| (\d+) \| (\d+) \| (\d+) \| ([\d,]+) \|$", re.M)


def stated(pattern: str) -> tuple[str, ...]:
    """The groups of the one place in the page that matches."""
    (match,) = re.finditer(pattern, TEXT)
    return match.groups()


def test_citations_are_read_in_each_way_they_are_written():
    text = "(documents A 4.2, B 4,\n    C 3.2). Document B 7.1's (document B 3.1, 5.1). # documents B 1 and\n# D 4.1."
    assert cited(text) == ["A 4.2", "B 4", "C 3.2", "B 7.1", "B 3.1", "B 5.1", "B 1", "D 4.1"]


def test_every_section_that_the_package_cites_is_in_a_table():
    found = {str(path.relative_to(PACKAGE)): cited(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}
    assert sum(map(len, found.values())) > 20, "the citations are not recognised"
    missing = {path: lost for path, sections in found.items() if (lost := [s for s in sections if s not in ROWS])}
    assert missing == {}


@pytest.mark.parametrize("section", ROWS)
def test_each_formula_is_computed_in_the_home_that_its_row_names(section):
    formulas, home = ROWS[section]
    if home == "planned":
        return
    homes = [PACKAGE / name for name in re.findall(r"`([^`]+)`", home)]
    files = [file for path in homes for file in ([path] if path.is_file() else path.rglob("*.py"))]
    assert all(path.exists() for path in homes)
    marked = {number for file in files for number in re.findall(r"# eq (\d+\.\d+)", file.read_text("utf-8"))}
    assert set(formulas) <= marked


def test_the_official_sizes_are_those_of_the_configuration():
    sizes = SIZE.findall(PAGE)
    assert [name for name, *_ in sizes] == ["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"]
    for name, *figures in sizes:
        config = GPTConfig.named(name)
        assert figures == [str(config.n_layer), str(config.n_embd), str(config.n_head), f"{config.parameter_count:,}"]
        assert stated(r"d_k = (\d+)") == (str(config.head_width),)


def test_every_figure_with_a_comma_is_one_that_the_code_gives():
    sizes = [GPTConfig.named(name) for name in ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")]
    ordinary = sizes[0].vocab_size - 1
    figures = {config.parameter_count for config in sizes}
    figures |= {ordinary, ordinary + 1, ordinary + len(CONTROL)}  # the vocabulary, without and with control tokens
    figures |= {12 * sizes[2].n_embd}  # T at which attention costs as much as the matrix products
    figures |= {10_000}  # document D 7's examples
    assert set(re.findall(r"\d{1,3}(?:,\d{3})+", PAGE)) == {f"{figure:,}" for figure in figures}


def test_the_other_figures_are_those_of_their_formulas():
    betas = stated(r"\\beta_1 = ([\d.]+)\$ and \$\\beta_2 = ([\d.]+)\$")
    b1, b2 = map(float, betas)
    longer = [(1 - b1**t) / math.sqrt(1 - b2**t) for t in range(1, 10_000)]
    top = longer.index(max(longer))
    assert stated(r"first step is ([\d.]+) times as long, step (\d+) is ([\d.]+) times") == (
        f"{longer[0]:.2f}", str(top + 1), f"{longer[top]:.2f}",
    )  # fmt: skip
    assert all(first > second for first, second in pairwise(longer[top:]))
    assert longer[-1] == pytest.approx(1, abs=1e-4)

    large, xl = GPTConfig.named("gpt2-large"), GPTConfig.named("gpt2-xl")
    assert stated(r"FP16 weights take ([\d.]+) GB") == (f"{2 * xl.parameter_count / 1e9:.1f}",)
    assert stated(r"about (\d+) bytes a parameter") == (str(training_bytes(xl) // xl.parameter_count),)
    memory = f"{training_bytes(xl) / 1e9:.1f}", f"{training_bytes(large) / 1e9:.1f}"
    assert stated(r"([\d.]+) GB for GPT-2 XL, and ([\d.]+) GB for the shape that B gives") == memory

    # A token's operations are a + b T: a for the matrix products, b T for attention under the causal mask.
    T, C = map(int, stated(r"at \$T = (\d+)\$ and \$d_{model} = (\d+)\$"))
    assert large.n_ctx == T
    assert large.n_embd == C
    short, long = (forward_flops(large, t) / t - 2 * C * large.vocab_size for t in (T, 2 * T))
    ratio = (2 * short - long) / (long - short)
    assert stated(r"they take ([\d.]+) times .*?, or ([\d.]+) times") == (f"{ratio / 2:g}", f"{ratio:g}")

    loss, claimed = stated(r"exp\(([\d.]+)\) = ([\d.]+)")
    assert claimed == f"{perplexity(float(loss)):.2f}"


def test_the_shares_of_tokens_and_gradient_are_those_measured():
    conversations = read_conversations([str(BUILTIN / "train.jsonl")], [])
    rows, tokens, gradient = map(int, stated(r"first (\d+) built-in .*? (\d+) % of the tokens .*? (\d+) % of the two"))
    examples = encode_within(
        conversations[:rows], load_template("chatml", ByteTokenizer()), t_max=GPTConfig.named("tiny").n_ctx
    ).examples
    torch.manual_seed(0)
    model = GPT(GPTConfig.named("tiny"))
    share = sum(sum(row.supervised[1:]) for row in examples) / sum(len(row.ids) - 1 for row in examples)
    assert round(100 * share) == tokens
    assert round(100 * gradient_parts(model, examples, "sum").response_share) == gradient
