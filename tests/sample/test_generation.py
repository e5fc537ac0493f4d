"""Lesson 07: the loop over the cache gives what reading everything anew for each token would."""

import pytest
import torch

from minigpt import GPT, GPTConfig, generate
from minigpt.errors import UserError
from minigpt.model.cache import Cache
from minigpt.sample.generation import draw_batch, generate_batch, next_logits, stream
from minigpt.sample.sampling import GREEDY, Sampling
from tests.reference.pair import make_pair, random_ids

N_CTX = 64  # small_model's


@pytest.fixture
def model(small_model: GPT) -> GPT:
    """Positions weigh more, so that a text at the wrong ones goes another way."""
    small_model.wpe.weight.data *= 4
    return small_model


def greedy(model: GPT, ids: list[int], n: int, stop: tuple[int, ...] = ()) -> list[int]:
    """The same without a cache: the whole text is read for each token, as long as it fits."""
    text, new = list(ids), []
    while len(new) < n and len(text) <= model.config.n_ctx:
        with torch.no_grad():
            token = model(torch.tensor([text]))[0, -1].argmax().item()
        if token in stop:
            break
        text.append(token)
        new.append(token)
    return new


def prompts_of(*lengths: int, seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(256, (length,), generator=generator).tolist() for length in lengths]


@pytest.mark.parametrize("length", [1, 7, 40, N_CTX - 1, N_CTX])
def test_the_cached_loop_is_the_uncached_one(model: GPT, length: int) -> None:
    prompt = prompts_of(length)[0]
    assert generate(model, prompt, 12, temperature=0.0) == greedy(model, prompt, 12)


@pytest.mark.parametrize(
    ("lengths", "n"),
    [
        ((5, 1, 12, 5), 15),
        ((30, 2), 20),
        ((1, 2, 3, 4, 5, 6), 8),
        ((60, 10, 63), 30),
        ((N_CTX, 3, N_CTX - 1), 20),
        ((4, 50), 64),
    ],
)
def test_each_prompt_of_a_batch_gets_what_it_alone_would(model: GPT, lengths: tuple[int, ...], n: int) -> None:
    """Positions are absolute: a prompt that padding moved would read as another text. Also where the longest fills the
    context before the others are done."""
    prompts = prompts_of(*lengths)
    alone = [greedy(model, prompt, n) for prompt in prompts]
    assert generate_batch(model, prompts, n, GREEDY) == alone
    assert generate_batch(model, prompts[::-1], n, GREEDY) == alone[::-1]


def test_a_stop_token_ends_its_text_alone_and_is_not_returned(model: GPT) -> None:
    prompts = prompts_of(5, 1, 12, 8)
    free = [greedy(model, prompt, 20) for prompt in prompts]
    for stop in [(free[0][3],), (free[1][0], free[2][7]), (free[0][0], free[1][0], free[2][0], free[3][0])]:
        expected = [greedy(model, prompt, 20, stop) for prompt in prompts]
        assert expected != free
        assert generate_batch(model, prompts, 20, GREEDY, stop) == expected
        assert not set(stop) & {token for text in expected for token in text}


@pytest.mark.parametrize("length", [1, 50, N_CTX - 1, N_CTX])
def test_it_stops_where_the_context_is_full(model: GPT, length: int) -> None:
    """The last token drawn is never read, so it may stand behind the last position."""
    new = generate(model, prompts_of(length)[0], 10 * N_CTX, temperature=0.0)
    assert len(new) == N_CTX - length + 1


def test_a_batch_of_draws_keeps_the_stop_token_exactly_where_one_was_drawn(model: GPT) -> None:
    prompts = prompts_of(5, 1, 12, N_CTX)
    free = [greedy(model, prompt, 20) for prompt in prompts]
    for stop in [(free[0][3],), (free[1][0], free[2][7]), (free[3][0],)]:
        cut = [next((i for i, token in enumerate(text) if token in stop), len(text)) for text in free]
        expected = [text[: n + 1] for text, n in zip(free, cut, strict=True)]
        assert draw_batch(model, prompts, 20, GREEDY, stop) == expected
        assert generate_batch(model, prompts, 20, GREEDY, stop) == [text[:n] for text, n in zip(free, cut, strict=True)]


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(1.0), Sampling(0.7, top_k=9)])
@pytest.mark.parametrize(("lengths", "copies"), [((5, 1, 12, 5), 3), ((60, 10, 63), 2), ((N_CTX, 3), 4), ((7,), 8)])
def test_copies_of_a_prompt_are_the_prompt_repeated(
    model: GPT, sampling: Sampling, lengths: tuple[int, ...], copies: int
) -> None:
    """The same texts from the same seed, prompt after prompt; each prompt is read once."""
    model.wte.weight.data *= 0.3
    prompts = prompts_of(*lengths)
    repeated, stop = [prompt for prompt in prompts for _ in range(copies)], range(100, 120)
    read: list[int] = []
    hook = model.h[0].register_forward_hook(lambda _, args, __: read.append(len(args[0])))
    found = draw_batch(model, prompts, 20, sampling, stop, 0, copies)
    hook.remove()
    assert read[0] == len(prompts)
    assert max(read[1:]) == sum(len(text) > 1 for text in found)
    assert found == draw_batch(model, repeated, 20, sampling, stop, 0)
    assert sampling == GREEDY or len(set(map(tuple, found))) > len(prompts)


def test_copies_score_the_next_token_as_the_prompt_repeated_does(model: GPT) -> None:
    prompts = prompts_of(5, 1, 12)
    rows, lengths = [0, 0, 1, 1, 2, 2], [5, 1, 12]
    padded = torch.tensor([prompt + [0] * (12 - len(prompt)) for prompt in prompts])
    new = torch.arange(6).unsqueeze(1)

    def after(ids: torch.Tensor, lengths: list[int], copied: list[int] | None) -> torch.Tensor:
        cache = Cache(model.config, len(ids), 13, model.device)
        next_logits(model, ids, cache, lengths)
        cache.trim(lengths)
        if copied is not None:
            cache.select_rows(copied)
        return next_logits(model, new, cache, [1] * 6)

    expected = after(padded[rows], [lengths[row] for row in rows], None)
    torch.testing.assert_close(after(padded, lengths, rows), expected, rtol=1e-5, atol=1e-5)


def test_an_empty_prompt_starts_from_the_end_of_text_token(model: GPT) -> None:
    bos = model.config.bos_token_id
    assert generate(model, [], 8, temperature=0.0) == greedy(model, [bos], 8)
    together = generate_batch(model, [[], [7, 8]], 8, GREEDY)
    assert together == [greedy(model, [bos], 8), greedy(model, [7, 8], 8)]


def test_a_seed_fixes_the_text_and_another_gives_another(model: GPT) -> None:
    """Whatever was drawn before; and a seeded text leaves the global stream, training's, where it was."""
    model.wte.weight.data *= 0.05  # flat enough that the draws matter
    texts = []
    for seed in (1, 1, 2):
        torch.rand(3)
        before = torch.get_rng_state()
        texts.append(generate(model, [1, 2, 3], 20, seed=seed))
        assert torch.equal(torch.get_rng_state(), before)
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
    assert generate(model, [1, 2, 3], 20) != generate(model, [1, 2, 3], 20), "without one, each differs"


def test_top_k_of_one_and_a_tiny_top_p_are_greedy(model: GPT) -> None:
    expected = greedy(model, [1, 2, 3], 10)
    assert generate(model, [1, 2, 3], 10, top_k=1) == expected
    assert generate(model, [1, 2, 3], 10, top_p=1e-6) == expected


def test_no_token_asked_for_is_no_token(model: GPT) -> None:
    assert generate(model, [1, 2], 0) == []
    assert generate_batch(model, [[1], []], 0, GREEDY) == [[], []]
    assert generate_batch(model, [], 5, GREEDY) == []
    assert draw_batch(model, [[1], []], 0, GREEDY, copies=2) == [[]] * 4
    assert draw_batch(model, [], 5, GREEDY, copies=2) == []


@pytest.mark.parametrize(
    ("ids", "n", "settings", "sentence"),
    [
        ([1] * (N_CTX + 1), 5, {}, f"The prompt has {N_CTX + 1} tokens; this model's context holds {N_CTX}"),
        ([1], -1, {}, "-1 new tokens were requested; it must be 0 or more"),
        ([1], 5, {"temperature": -1.0}, "temperature is -1"),
        ([1], 5, {"top_k": 0}, "top-k is 0"),
        ([1], 5, {"top_p": 0.0}, "top-p is 0"),
    ],
)
def test_what_cannot_be_generated_is_refused_in_words(
    model: GPT, ids: list[int], n: int, settings: dict, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        generate(model, ids, n, **settings)


@pytest.mark.parametrize("wrong", [-1, 260])
def test_an_id_outside_the_vocabulary_is_refused_in_words(model: GPT, wrong: int) -> None:
    with pytest.raises(ValueError, match=f"id {wrong} is outside the vocabulary of 260 tokens"):
        generate(model, [1, wrong], 5)


def test_a_model_in_training_answers_without_dropout_and_goes_on_training() -> None:
    torch.manual_seed(0)
    trained = GPT(GPTConfig.named("tiny", n_ctx=16, n_embd=16, n_head=2, n_layer=2, dropout=0.5))
    expected = greedy(trained.eval(), [1, 2, 3], 8)
    assert generate(trained.train(), [1, 2, 3], 8, temperature=0.0) == expected
    assert trained.training
    with pytest.raises(ValueError, match="outside the vocabulary"):
        generate(trained, [999], 8)
    assert trained.training, "also where it was refused"


@pytest.mark.parametrize("length", [1, 9, 30])
def test_greedy_text_is_that_of_transformers(length: int) -> None:
    ours, theirs = make_pair(GPTConfig.named("tiny", n_ctx=48, n_embd=32, n_head=4, n_layer=2), noise=0.2)
    prompts = random_ids(ours.config, B=3, T=length)
    expected = theirs.generate(
        prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=15, do_sample=False, eos_token_id=None,
        pad_token_id=0,
    )[:, length:]  # fmt: skip
    assert generate_batch(ours, prompts.tolist(), 15, GREEDY) == expected.tolist()


def test_a_stream_gives_each_id_as_soon_as_it_is_drawn(model: GPT) -> None:
    """The whole is what `generate` gives, and reading one id computes no more than one."""
    expected = generate(model, [72, 105], 12, temperature=1.5, seed=3)
    assert list(stream(model, [72, 105], 12, Sampling(1.5), seed=3)) == expected
    asked = []
    hook = model.ln_f.register_forward_hook(lambda *_: asked.append(1))
    try:
        flow = stream(model, [72, 105], 12, Sampling(1.5), seed=3)
        assert [next(flow) for _ in range(3)] == expected[:3]
        assert len(asked) == 3  # the prompt, and two ids drawn from it read
        flow.close()
    finally:
        hook.remove()
