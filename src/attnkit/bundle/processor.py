"""Whether int8 models that were made elsewhere are answered here as they were there."""

from pathlib import Path

from attnkit.bundle.contract import Contract
from attnkit.errors import UsageError


def saturates() -> bool | None:
    """True where this processor adds pairs of 8-bit products in 16 bits, which overflow; None where it does not say."""
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return None
    return not ("vnni" in flags or "asimddp" in flags)


def check_processor(contract: Contract, where: str) -> None:
    """Refuse weights of eight bits on a processor that is known to want one of them free.

    Raises: UsageError.
    """
    if contract.made.get("seven_bits") is False and saturates():
        raise UsageError(
            f"{where} is int8 with weights of eight bits, and this processor adds their products in 16 bits, where "
            "large ones overflow and answers may be wrong; ship the run anew on a machine like this one, or in float16"
        )
