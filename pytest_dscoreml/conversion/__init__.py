"""Runs the converter under test in its own process and keeps what it makes.

Imports our `errors` and `files`, filelock and platformdirs only; `worker.py` belongs to the converter's interpreter and
is never imported here.
"""

from __future__ import annotations
