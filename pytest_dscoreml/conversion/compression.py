"""Ways to compress a conversion's weights: coremltools' own optimisers by name, and what each version of it has of them.

Imports the standard library, its neighbour for versions and `pytest_dscoreml.errors` only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Optional

from packaging.version import Version

from pytest_dscoreml.conversion.versions import version_of
from pytest_dscoreml.errors import UsageError

#: In the order in which they are made and shown: the gentlest first, in each family.
NAMES = (
    "linear8",
    "linear4",
    "palettize8",
    "palettize6",
    "palettize4",
    "palettize2",
    "palettize1",
    "uniform8",
    "uniform6",
    "uniform4",
    "uniform2",
    "uniform1",
    "sparse50",
    "sparse75",
)

#: Matrices with more values are compressed, whatever the target: coremltools' own threshold for ML Programs, where it leaves
#: biases alone too. In a neural network it would by itself quantize everything, shapes and loop counters among it.
THRESHOLD = 2048

#: The versions of coremltools that brought the compression of ML Programs, and four bits for linear quantization of them.
MLPROGRAMS_SINCE, LINEAR4_SINCE = 6, 8
#: coremltools before the first number takes no scikit-learn above the second; from 7.0 on it takes any.
_SKLEARN_UP_TO = ((6, "0.19.2"), (7, "1.1.2"))
#: These versions, both included, write an empty lookup table where they cluster a neural network's weights: the table has got
#: a second dimension, and what is put into the file is nothing. Checked with 7.2, 8.0, 8.3 and 9.0 on Linux.
_TABLE_LOST = ("8.0", "9.0")
#: Four bits need the operations of that system: such an ML Program is converted for it.
LINEAR4_TARGET = "iOS18"


@dataclass(frozen=True)
class Compression:
    """One way: `linear` (scale and offset per row), `palettize` (lookup table by k-means), `uniform` (lookup table of evenly
    spaced values) with so many bits a weight, or `sparse` with so many of a hundred weights set to zero.
    """

    method: str
    number: int

    @classmethod
    def of(cls, name: str) -> Compression:
        """The compression of a name.

        Raises:
            UsageError: it is none of `NAMES`.
        """
        if name not in NAMES:
            raise UsageError(f"unknown compression {name!r}: choose from {', '.join(NAMES)}")
        method, number = re.fullmatch(r"([a-z]+)(\d+)", name).groups()  # type: ignore[union-attr]
        return cls(method, int(number))

    def request(self) -> dict[str, Any]:
        """What the worker is asked for."""
        return {"method": self.method, "number": self.number, "threshold": THRESHOLD}

    @property
    def needs_sklearn(self) -> bool:
        """Whether it clusters, which coremltools leaves to scikit-learn: its version decides the result."""
        return self.method == "palettize"

    def deployment_target(self, *, mlprogram: bool) -> str | None:
        """The system that the ML Program must be converted for; None where the usual conversion will do."""
        return LINEAR4_TARGET if mlprogram and (self.method, self.number) == ("linear", 4) else None

    def unavailable(self, *, mlprogram: bool, coremltools: str, sklearn: Optional[str]) -> str | None:
        """Why a coremltools cannot do it to such a file, beside this scikit-learn (None: there is none); None where it can."""
        major = version_of(coremltools).major
        if mlprogram and major < MLPROGRAMS_SINCE:
            return f"coremltools {coremltools} compresses no ML Programs; {MLPROGRAMS_SINCE}.0 was the first that did"
        if mlprogram and self.deployment_target(mlprogram=True) is not None and major < LINEAR4_SINCE:
            return f"coremltools {coremltools} quantizes ML Programs to 8 bits; {LINEAR4_SINCE}.0 was the first with 4"
        if not mlprogram and self.method == "sparse":
            return "coremltools prunes ML Programs only"
        first, last = map(Version, _TABLE_LOST)
        if not mlprogram and self.needs_sklearn and first <= version_of(coremltools) <= last:
            return (
                f"coremltools {coremltools} loses the lookup table of k-means when it quantizes a neural network, as all do "
                f"from {first} to {last}; take uniform"
            )
        if self.needs_sklearn and sklearn is None:
            return (
                "k-means needs scikit-learn beside the converter's coremltools: install it there, or take uniform, which "
                "spaces its table evenly"
            )
        if self.needs_sklearn and sklearn is not None:
            newest = next((newest for below, newest in _SKLEARN_UP_TO if major < below), None)
            if newest is not None and version_of(sklearn) > Version(newest):
                return f"coremltools {coremltools} takes no scikit-learn above {newest} for k-means, and {sklearn} is there"
        return None
