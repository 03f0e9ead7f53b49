"""One libtorch in a process: that of the installed torch, else the one that the extension was built with."""
import importlib.metadata
import importlib.util
import sys

#: The release of torch that the extension binds to.
TORCH = "2.13"


def load_first() -> None:
    """Imports torch before the extension, which then finds its libtorch loaded. Without torch, nothing.

    Loaded the other way round, the extension and a later ``import torch`` would each bring a libtorch.
    """
    if "torch" not in sys.modules and importlib.util.find_spec("torch") is None:
        return
    # Not torch.__version__, for which it would have to be imported: that takes seconds, and what it loads stays.
    found = importlib.metadata.version("torch")
    if not found.startswith(f"{TORCH}."):
        raise ImportError(
            f"torch {found} is installed, and audiodiff binds to torch {TORCH}: "
            f"install that one (pip install 'torch=={TORCH}.*') or use an environment without torch"
        )
    import torch  # noqa: F401
