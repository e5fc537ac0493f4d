"""The lessons' tools, and how to write a lesson with them.

A lesson is a folder `lessons/NN_name/` (copy 03_attention). Everything in it is found by its name:

README.md       The first line is `# NN Title`, the paragraph after it `*30 minutes. ...*`. In it:
                ```math    a formula that ends in `\\qquad (n.m)`; `# eq n.m` marks its lines in the package. The link
                           and the code under it are written by --fix. Every formula n.* of the package has to appear.
                           Derivations without a number are inline: $...$. No \\operatorname, no \\tag.
                ```python  runs; the fences of a lesson share one namespace, in order, and `assert` what the text says.
                           Shapes in the signatures of their functions are checked.
                ```text    right after a python fence: what it printed, to the digits shown; written by --fix.
exercises.py    stubs, with shapes in the signature and "Turtle, 5 minutes. ..." in the docstring.
solutions.py    the right functions.
mistakes.py     the same with a switch (a keyword that is False) for each typical mistake; switches may be combined.
grader.py       EXERCISES = [Exercise(name, level, minutes, cases, hints, places, judge), ...]; see grade.py. A function
                with `places` takes the package's parameter names: --mine puts it there.
figures.py      FIGURES = {"name.svg": a function that gives the SVG's text}, drawn with figure.py; kept in figures/.

Tiny numbers come from lessons/tiny.py: `paper_model()`, `show(tensor)`; real ones from lessons/trained.py, whose
`model, template = trained_model()` is the small model in lessons/model.

    python -m lessons                   how far a learner is, and the next exercise
    python -m lessons --fix             writes what is generated: links, outputs, figures, the map; so does pytest --fix
    python -m lessons --notebooks DIR   every lesson as a notebook
    pytest lessons/03_attention         its fences and exercises; -m turtle, ::fence-4, exercises.py::attend pick some
    pytest tests/lessons                the proofs: each stub, solution, mistake, link, figure; the map
    pytest --mine FILE                  the package's tests, through the functions of FILE (may be given several times)
    python -m lessons.harness.mine FILE minigpt.chat --model runs/NAME

A place needs an oracle that does not go through the learner's function: tests/lessons/oracles has a module a lesson.
"""
