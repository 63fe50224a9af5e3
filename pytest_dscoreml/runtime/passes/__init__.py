"""Optimisations, each a function of its own that can be switched off; none changes a result.

Program passes rewrite the program before it is compiled, plan passes the plan before it is assembled. ``PASSES`` is
the order in which they run and the names by which ``ReferenceModel(passes=...)`` chooses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable

from pytest_dscoreml.runtime.passes.carry_half import carry_half
from pytest_dscoreml.runtime.passes.fold_constants import fold_constants
from pytest_dscoreml.runtime.passes.free_early import free_early
from pytest_dscoreml.runtime.passes.hoist_products import hoist_products
from pytest_dscoreml.runtime.passes.straight_loops import straight_loops
from pytest_dscoreml.runtime.passes.update_in_place import update_in_place
from pytest_dscoreml.runtime.plan import Plan
from pytest_dscoreml.runtime.program import Program

PROGRAM_PASSES: Mapping[str, Callable[[Program], Program]] = {
    "fold_constants": fold_constants,
    "carry_half": carry_half,
}
PLAN_PASSES: Mapping[str, Callable[[Plan], Plan]] = {
    "hoist_products": hoist_products,
    "update_in_place": update_in_place,
    "straight_loops": straight_loops,
    "free_early": free_early,
}
PASSES: tuple[str, ...] = (*PROGRAM_PASSES, *PLAN_PASSES)
