"""The templates as Jinja, in which transformers and other programs lay a conversation out as text.

Such a program finds control tokens in the finished text, also those that a user has typed; minigpt never does, so the
ids of such a conversation differ. So do those of a message that begins with white space where GPT-2's encoding joins
that to the end of the line before it: minigpt encodes each part separately.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minigpt.text.template import Template

# What `turns` refuses is refused here too.
CHECKS = """\
{%- set system = messages[0].content if messages[0].role == 'system' else '' -%}
{%- for message in messages[(1 if messages[0].role == 'system' else 0):] -%}
{%- if message.role != ('assistant' if loop.index0 % 2 else 'user') -%}
{{- raise_exception('After the system message, if any, user and assistant take turns, and the user is first.') -}}
{%- endif -%}
{%- endfor -%}
{%- for message in messages -%}
{%- if message.content is not string or not message.content -%}
{{- raise_exception('Message ' + loop.index|string + ' (' + message.role + ') is empty or not text.') -}}
{%- endif -%}
{%- endfor -%}
"""
LAYOUTS = {
    "chatml": """\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt and messages[-1].role == 'user' -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
""",
    "documents": """\
{{- '<|endoftext|>' -}}
{%- for message in messages -%}
{{- message.content + {'system': '\\n', 'user': '<|sep|>', 'assistant': '<|endoftext|>'}[message.role] -}}
{%- endfor -%}
""",
    "alpaca": """\
{%- set first = messages[1] if system else messages[0] -%}
{{- system or ('PREAMBLE_WITH_INPUT' if first.input else 'PREAMBLE') -}}
{%- for message in messages -%}
{%- if message.role == 'user' -%}
{%- set instruction = message.content -%}
{%- if message.input -%}
{%- set instruction = instruction[:-(message.input|length)] -%}
{%- set instruction = instruction[:-2] if instruction.endswith('\\n\\n') else instruction -%}
{%- endif -%}
{{- '\\n\\n### Instruction:\\n' + instruction -}}
{{- '\\n\\n### Input:\\n' + message.input if message.input else '' -}}
{{- '\\n\\n### Response:\\n' -}}
{%- elif message.role == 'assistant' -%}
{{- message.content + '<|endoftext|>' -}}
{%- endif -%}
{%- endfor -%}
""",
}
# ChatML's line break after a message, and the same without the one after a last answer.
BREAK = "'<|im_end|>\\n'"
UNLESS_LAST = "'<|im_end|>' + ('' if loop.last and message.role == 'assistant' else '\\n')"
# By which words another program's chat template is known to lay a conversation out as one of ours does.
MARKS = {"<|im_start|>": "chatml", "### Instruction:": "alpaca", "<|sep|>": "documents"}


def jinja(template: "Template", end: str, ends_with_answer: bool = False) -> str:
    """This template as Jinja, where `end` is the name of the token that ends a text.

    With `ends_with_answer` nothing follows the end of a last answer: a reward model is read there.
    """
    text = CHECKS + LAYOUTS[template.name]
    if ends_with_answer:
        text = text.replace(BREAK, UNLESS_LAST)
    for name in ("PREAMBLE_WITH_INPUT", "PREAMBLE"):
        text = text.replace(name, getattr(template, name, ""))
    return text.replace("<|endoftext|>", end)


def recognized(text: str) -> str | None:
    """Which of our templates a chat template is, by the words in it; None if there are none of ours."""
    return next((name for mark, name in MARKS.items() if mark in text), None)
