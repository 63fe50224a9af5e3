"""What every test here may use. (pytester is asked for in pyproject.toml: a conftest may do so only at the rootdir,
and a gate run elsewhere on an editable install collects the suite from below this directory.)
"""

import pytest


@pytest.fixture(scope="session")
def heavy_imports():
    """TensorFlow and coremltools, imported once: pytester unloads what a run inside this process has imported."""
    import coremltools
    import hypothesis.stateful
    import tensorflow

    return tensorflow, coremltools, hypothesis.stateful
