"""Lesson 12's exercises: `pytest lessons/12_chat` says how far you are.

turtle: a formula, 5 to 10 minutes; dog: a small program, 15 to 30; lion: measured against the real thing.
"""

from collections.abc import Sequence

from minigpt.text.template import Message


def chatml_text(messages: Sequence[Message]) -> str:
    """Turtle, 10 minutes. A conversation in ChatML as text, for each message {"role": ..., "content": ...} the lines

        <|im_start|>role
        content<|im_end|>

    with a newline at the end of both. When it is right, convert a file with it:
    python -m lessons.harness.mine lessons/12_chat/exercises.py minigpt.view --data lessons/12_chat/everyday.jsonl \
--to-chatml OUT.jsonl
    """
    raise NotImplementedError


def gsm8k_to_chatml(lines: list[str], system: str | None) -> list[str]:
    """Dog, 20 minutes. GSM8K's lines {"question": ..., "answer": ...} as lines {"text": ...} in ChatML.

    Lines end with a newline, in and out. The question is the user's, the answer the assistant's, both as they are:
    with white space, calculations <<3*4=12>> and the last line #### 12. `system`, if any, is the system message of
    each row. Write the JSON as json.dumps does, but with Vietnamese letters as they are; `minigpt.view --to-chatml`
    is the judge.
    """
    raise NotImplementedError


def pair_turns(messages: Sequence[Message]) -> tuple[str | None, list[tuple[Message, Message | None]]]:
    """Dog, 20 minutes. (12.1): the system's text, None if there is none, and the pairs (u_t, a_t) of messages.

    After a last user message without an answer, a_T is None. The messages are fine one by one; an order that is not
    (12.1) is refused with minigpt.errors.UserError, in the first of these sentences that applies:

        message 3 is a system message; only the first message may be one.
        there is no user turn.
        the assistant speaks before the user.
        there are two consecutive user turns.      (or: assistant turns)
    """
    raise NotImplementedError


def encode_user_turn(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
    """Dog, 15 minutes. ChatML's ids from the system message, if there is one, to the header of the answer.

    That is what the model reads before it writes. Whatever the texts say, no control token may come from them. `self`
    has: self.tokenizer.encode(text); self.tokenizer.control["<|im_start|>"], an id; self.end, the id of <|im_end|>;
    self.after_end, the ids of a newline. Encode each text by itself, and each header with its newline in one piece.
    `first` and `context` are for other templates: `user` is already whole.
    """
    raise NotImplementedError


def lay_out(self, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
    """Lion, 30 minutes. A whole conversation as (ids, supervised), in any template.

    minigpt.text.template.turns(messages) gives the pairs of (12.1) and refuses what is not a conversation. Before each
    answer comes self.encode_user_turn(system, user, first, context): `system` only in the first turn, `first` True
    there and False later, `context` the user message's "input" (lesson 11's X), or "". After it: the answer's ids by
    self.tokenizer.encode, self.end, then the ids self.after_end. True in `supervised` are the answer's ids and its end,
    unless the answer has the weight 0. A last user message without an answer ends with its encode_user_turn.

    When it is right, talk through it:
    python -m lessons.harness.mine lessons/12_chat/exercises.py minigpt.chat --model lessons/model
    """
    raise NotImplementedError
