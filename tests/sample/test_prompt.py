"""What a notebook gives to `generate`: taken where it can only mean ids, refused in words where not."""

import jaxtyping
import numpy as np
import pytest
import torch

from minigpt import GPT, GPTConfig, generate, load_template, load_tokenizer
from minigpt.errors import UserError
from minigpt.sample.generation import generate_batch
from minigpt.sample.sampling import GREEDY


@pytest.fixture(autouse=True)
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As outside of the tests: nobody checks annotations."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.mark.parametrize(
    "ids",
    [(72, 105), np.array([72, 105]), torch.tensor([72, 105]), torch.tensor([[72, 105]]), [np.int64(72), 105],
     range(72, 139, 33), [torch.tensor(72), torch.tensor(105)], np.array([[72, 105]], np.uint8), iter([72, 105])],
    ids=lambda ids: type(ids).__name__,
)  # fmt: skip
def test_ids_may_come_as_any_list_array_or_tensor(small_model: GPT, ids: object) -> None:
    expected = generate(small_model, [72, 105] if not isinstance(ids, range) else [72, 105, 138], 5, temperature=0.0)
    assert generate(small_model, ids, 5, temperature=0.0) == expected


@pytest.mark.parametrize("stop", ["array", "tensor", "set", "one", "dict"])
def test_stop_may_come_so_too(small_model: GPT, stop: str) -> None:
    free = generate(small_model, [72, 105], 8, temperature=0.0)
    end = free[4]
    given = {
        "array": np.array([end]), "tensor": torch.tensor([end]), "set": {end}, "one": end, "dict": {end: "end"},
    }[stop]  # fmt: skip
    expected = free[: free.index(end)]
    assert generate(small_model, [72, 105], 8, temperature=0.0, stop=given) == expected
    assert generate_batch(small_model, [[72, 105]], 8, GREEDY, stop=given) == [expected]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ("Hi", r"The prompt is text, 'Hi'; generate takes ids: tokenizer\.encode\(text\)"),
        (b"Hi", "The prompt is text"),
        (["H", "i"], "An id of the prompt is 'H'; it must be a whole number"),
        ([1.5], "An id of the prompt is 1.5; it must be a whole number"),
        (torch.tensor([1.0, 2.0]), "An id of the prompt is 1.0"),
        (np.array([0.5]), "An id of the prompt is 0.5"),
        ([True], "An id of the prompt is True"),
        ([None], "An id of the prompt is None"),
        (5, "The prompt is int; it must be a list of ids"),
        (None, "The prompt is NoneType; it must be a list of ids"),
        ({"input_ids": [1]}, "The prompt is dict; it must be a list of ids"),
        (torch.tensor(5), "The prompt is Tensor; it must be a list of ids"),
        ([[1], [2]], "The prompt has several rows; generate takes one"),
        (torch.zeros(2, 3, dtype=torch.long), "The prompt has several rows"),
        ([-1], "The id -1 is outside the vocabulary of 260 tokens"),
        ([5, 260], "The id 260 is outside the vocabulary of 260 tokens"),
        ([2**70], f"The id {2**70} is outside the vocabulary of 260 tokens"),
    ],
)
def test_a_prompt_that_is_none_is_refused_in_words(small_model: GPT, ids: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        generate(small_model, ids, 5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_new_tokens": "5"}, "The number of new tokens is '5'; it must be a whole number"),
        ({"max_new_tokens": 5.0}, "The number of new tokens is 5.0"),
        ({"max_new_tokens": None}, "The number of new tokens is None"),
        ({"seed": "x"}, "The seed is 'x'; it must be a whole number"),
        ({"seed": 2**64}, "The seed is 18446744073709551616; it must be at least"),
        ({"seed": 10**20}, "The seed is 100000000000000000000"),
        ({"temperature": "hot"}, "temperature is 'hot'; it must be a number"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": None}, "temperature is None"),
        ({"top_k": 2.5}, "top-k is 2.5; it must be a whole number"),
        ({"top_p": "x"}, "top-p is 'x'; it must be a number"),
        ({"stop": "<|im_end|>"}, r"stop is text, '<\|im_end\|>'; it takes ids"),
        ({"stop": ["<|im_end|>"]}, "An id in stop is"),
        ({"stop": None}, "stop is None; it must be a whole number"),
        ({"model": "gpt2"}, r"generate takes a GPT; str was given\. GPT\.from_pretrained loads one"),
    ],
)
def test_other_arguments_are_refused_in_words(small_model: GPT, given: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        generate(**{"model": small_model, "ids": [72], "max_new_tokens": 3} | given)


def test_seeds_of_other_libraries_are_taken(small_model: GPT) -> None:
    assert generate(small_model, [72], 5, seed=np.int64(3)) == generate(small_model, [72], 5, seed=3)
    assert generate(small_model, [72], np.int64(5), top_k=np.int64(1)) == generate(small_model, [72], 5, top_k=1)


def test_a_model_without_a_start_token_needs_a_prompt() -> None:
    model = GPT(GPTConfig(vocab_size=290, n_ctx=8, n_embd=8, n_head=2, n_layer=1))
    with pytest.raises(
        UserError, match=r"The prompt is empty, and bos_token_id, 50256, is outside the vocabulary of 290"
    ):
        generate(model, [], 3)
    assert len(generate(model, [1], 3)) == 3


@pytest.mark.parametrize("ids", [[[1, 2]], torch.tensor([1, 2]), torch.tensor([[1.0]]), np.array([[1]]), "Hi"])
def test_the_model_itself_says_what_it_reads(small_model: GPT, ids: object) -> None:
    with pytest.raises(ValueError, match=r"GPT reads an integer tensor \(B, T\): torch\.tensor\(\[ids\]\)"):
        small_model(ids)


def test_templates_and_models_are_asked_for_by_what_they_are() -> None:
    with pytest.raises(UserError, match=r"There is no template called 'llama'; the templates are"):
        load_template("llama", load_tokenizer("bytes"))
    with pytest.raises(UserError, match=r"load_template takes a tokenizer, as load_tokenizer returns it, not 'bytes'"):
        load_template("chatml", "bytes")
    with pytest.raises(UserError, match=r"A model is named by its folder or an official size, not by None"):
        GPT.from_pretrained(None)
