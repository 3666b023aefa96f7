"""AdamW with another learning rate, and no weight decay, for the embedding of tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from grokstudy.optimizers._adam import adam_update, check_moments
from grokstudy.optimizers._warmup import check_rate, warmed_up
from grokstudy.spec.columns import columns
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Model, Optimizer, Step
from grokstudy.spec.trial import TrialSpec, plugin_name


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AdamWEmbed(Optimizer):
    """AdamW on a decoder at `lr`, Adam on the embedding that it reads at `embed_lr`.

    Weight decay leaves the embedding alone; that of the decoder follows `lr`. Which of the two learns faster decides
    between memorising and finding a representation.
    Source: Liu et al. 2022 (arXiv 2205.10343), section 4 and its repository (lr of the embedding .001, of the decoder
    1e-5 to .01; weight decay of the decoder alone).
    """

    lr: float = setting(1e-3, per_member=True, help="learning rate of all tensors but the embedding")
    embed_lr: float = setting(1e-3, per_member=True, help="learning rate of the embedding, which does not decay")
    betas: tuple[float, float] = setting((0.9, 0.999), per_member=True, help="decay of the two moments")
    eps: float = setting(1e-8, per_member=True, help="added to the root of the second moment")
    warmup: int = setting(0, help="updates until both learning rates are reached; 0 = none")

    def __post_init__(self) -> None:
        check_rate(self.lr, self.warmup)
        check_moments(self.betas, self.eps)
        if self.embed_lr <= 0:
            raise BadInput(f"optimizer.embed_lr: got {self.embed_lr}, must be > 0.")

    def check(self, spec: TrialSpec) -> None:
        if not spec.model.embeddings():
            raise BadInput(
                f"optimizer: adamw_embed has a learning rate for the embedding of tokens, and "
                f"model={plugin_name(spec.model)} has none. Use optimizer=adamw, or model=embed_decoder, embed_mlp or "
                "transformer."
            )

    def undecayed(self, model: Model) -> Sequence[str]:
        return model.embeddings()

    def lr_factor(self, step: int) -> float:
        return warmed_up(step, self.warmup)

    def state_names(self) -> Sequence[str]:
        return ("exp_avg", "exp_avg_sq")

    def update(self, step: Step) -> None:
        settings, m, v = step.settings, step.state["exp_avg"], step.state["exp_avg_sq"]
        rates = {False: settings["lr_now"], True: settings["embed_lr"] * self.lr_factor(step.number)}
        for part, embeds, _ in columns(step.shapes, step.embeddings.__contains__):
            adam_update(
                step.params[:, part],
                step.grads[:, part],
                m[:, part],
                v[:, part],
                number=step.number,
                lr=rates[embeds],
                betas=settings["betas"],
                eps=settings["eps"],
            )
