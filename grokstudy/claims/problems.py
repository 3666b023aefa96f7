"""Problems 3.1 to 3.33 of "200 Concrete Open Problems in Mechanistic Interpretability": what there is for each here.

Source: Nanda 2022, the section on algorithmic problems; wording is ours. Letters say how hard it is thought to be (A
easy to D), a star that it is a favourite of the author's.
"""

from __future__ import annotations

import dataclasses
import re


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of the list."""

    number: str
    letter: str
    title: str
    words: tuple[str, ...] = ()
    """Of `grokstudy run`, that train a network for it."""
    see: str = ""
    """Measures, options or pages that go with it."""
    missing: str = ""
    """What is not there yet."""

    @property
    def status(self) -> str:
        """`there`, `in part` or `missing`."""
        if not self.words and not self.see:
            return "missing"
        return "in part" if self.missing else "there"

    @property
    def command(self) -> str:
        """To type, with quotes for the shell; empty if there is none."""
        plain = re.compile(r"[\w.=/-]+")
        words = (word if plain.fullmatch(word) else f"'{word}'" for word in self.words)
        return f"grokstudy run {' '.join(words)}" if self.words else ""


OTHELLO = "Othello: no task of board games"
PROBLEMS = (
    Problem(number="3.1", letter="A", title="Sort lists of fixed length", words=("preset=sort",)),
    Problem(
        number="3.2",
        letter="A",
        title="Sort lists of varying length",
        words=("preset=sort", "task.length=5,10,15"),
        see="one length per trial",
        missing="lists of several lengths, padded, in one training set",
    ),
    Problem(
        number="3.3",
        letter="A",
        title="Two-layer MLP on modular addition",
        words=("task=modular", "model=embed_mlp", "task.p=113", "task.frac_train=0.3"),
        see="also model=quad_mlp, onehot_mlp; `grokstudy verify`",
    ),
    Problem(
        number="3.4",
        letter="A",
        title="One-layer transformer on modular subtraction",
        words=("preset=small59", "task.op=sub"),
        see="`grokstudy verify`",
    ),
    Problem(
        number="3.5",
        letter="A",
        title="Minimum or maximum of two numbers",
        words=("task=max_of_k", "task.k=2", "task.op=max,min", "model.attn_only=true", "model.d_model=32"),
    ),
    Problem(number="3.6", letter="A", title="Permute lists", missing="a task of lists with a permutation as input"),
    Problem(
        number="3.7",
        letter="A",
        title="Next term of a recurrence such as Fibonacci's",
        words=("task=recurrence", "task.p=59", "model.n_layers=2"),
    ),
    Problem(
        number="3.8",
        letter="B*",
        title="Five-digit addition or subtraction, digits reversed or not",
        words=("preset=integer5",),
        see="task.op=sub, task.reversed=true; slices digit_0 ...",
    ),
    Problem(
        number="3.9", letter="B*", title="Output of simple code", missing="a task of lists whose elements are assigned"
    ),
    Problem(number="3.10", letter="B*", title="Graph problems", missing="a task of edge lists"),
    Problem(
        number="3.11",
        letter="B*",
        title="Several understood tasks at once: same circuits?",
        words=("task=multi_op", "task.ops=[add,sub]", "task.p=59"),
        see="slices by operation",
    ),
    Problem(
        number="3.12",
        letter="B*",
        title="Automata",
        words=("preset=group_s4",),
        see="one composition in a group or any Cayley table",
        missing="words of many letters with an answer at every position",
    ),
    Problem(
        number="3.13",
        letter="B*",
        title="Linear regression in context",
        missing="a transformer that reads and writes real numbers",
    ),
    Problem(
        number="3.14",
        letter="C*",
        title="Other problems in context: sparse functions, decision trees",
        missing="as 3.13",
    ),
    Problem(
        number="3.15",
        letter="C",
        title="Multiplication of long or binary numbers",
        missing="task=integer has add and sub only",
    ),
    Problem(
        number="3.16",
        letter="B*",
        title="Repeated subsequences of random tokens: induction heads",
        words=("preset=induction",),
        see="detector induction_head",
    ),
    Problem(
        number="3.17",
        letter="B-C",
        title="A task of your own",
        see="one file and --plugin (docs/plugins.md)",
        words=("--plugin", "my_task.py", "task=my_task"),
    ),
    Problem(
        number="3.18",
        letter="B*",
        title="Toy version of indirect object identification",
        missing="a task of names that repeat",
    ),
    Problem(number="3.19", letter="C*", title="Is what 3.18 learns the same over seeds and sizes?", missing="as 3.18"),
    Problem(number="3.20", letter="C*", title="Reverse-engineer a network that plays Othello", missing=OTHELLO),
    Problem(
        number="3.21",
        letter="A*",
        title="Attention-only layer that predicts the previous token, without position embeddings",
        see="model.attn_only=true, model.positions=none; task=induction is the nearest task",
        missing="the task itself",
    ),
    Problem(number="3.22", letter="B*", title="Three attention-only layers on indirect objects", missing="as 3.18"),
    Problem(
        number="3.23",
        letter="B*",
        title="Modular addition with GELU",
        words=("preset=small59", "model.activation=relu", "--name", "relu"),
        see="the same with model.activation=gelu, then `grokstudy compare relu gelu`",
    ),
    Problem(
        number="3.24",
        letter="C*",
        title="How does memorisation work?",
        words=("task=random_labels", "model=embed_mlp"),
        see="task.op=random, task.label_noise",
    ),
    Problem(
        number="3.25",
        letter="B*",
        title="Compare ways to reduce dimensions",
        see="principal components in circularity, circle_isolation and representation",
        missing="t-SNE, UMAP and NMF beside them",
    ),
    Problem(
        number="3.26",
        letter="B",
        title="Modular addition: which weights matter, clusters of neurons by frequency",
        words=("preset=small59", "measures.names=[key_freqs,neuron_freqs,fourier_losses,component_ablations]"),
    ),
    Problem(
        number="3.27",
        letter="C*",
        title="When does direct logit attribution mislead?",
        see="component_ablations and scrubbing say what a part does",
        missing="direct logit attribution itself",
    ),
    Problem(
        number="3.28",
        letter="D*",
        title="Lottery tickets in toy models",
        see="forks from any checkpoint (docs/forks.md); effective_sparsity",
        missing="training with a mask",
    ),
    Problem(
        number="3.29",
        letter="D*",
        title="Deep double descent in toy models",
        words=("preset=digits_quick", "model.width=log(4,256,7)", "init.scale=1", "task.label_noise=0.2"),
    ),
    Problem(number="3.30", letter="A*", title="A first problem of Othello networks", missing=OTHELLO),
    Problem(number="3.31", letter="B-C*", title="Modular circuits in an Othello network", missing=OTHELLO),
    Problem(number="3.32", letter="B-C*", title="Neurons and superposition in an Othello network", missing=OTHELLO),
    Problem(number="3.33", letter="B-C*", title="An Othello network as a laboratory of circuits", missing=OTHELLO),
)
