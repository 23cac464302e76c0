"""What the extra [serve] brings, asked for once and named where it is missing."""

from importlib.util import find_spec

from attnkit.errors import UsageError

NEEDED = ("fastapi", "uvicorn", "prometheus_client")


def check_installed() -> None:
    """Nothing, where a service can run here.

    Raises: UsageError naming what is not installed.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"serving needs {', '.join(missing)}, which is not installed; pip install 'attnkit[serve]'"
        ) from None
