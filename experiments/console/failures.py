"""What the operating system, memory or JAX refuse, in one line each."""

import sys
from pathlib import Path

from experiments.console.streams import discard


def told(error: BaseException) -> str | None:
    """The line for an error that is no mistake of ours; None for one that is."""
    if isinstance(error, RecursionError):
        return "what was read is nested too deeply" if _read_json(error) else None
    if isinstance(error, MemoryError):
        return "not enough memory; a smaller model, batch or text needs less"
    if isinstance(error, OSError):
        return _system(error)
    if type(error).__name__ == "JaxRuntimeError" and "RESOURCE_EXH" in str(error):
        first = str(error).partition("\n")[0][:160]
        return f"{first}; a smaller model or batch needs less"
    if _innermost(error) == "xla_bridge.py":
        return (
            f"JAX finds no device ({_platforms()}): set JAX_PLATFORMS=cpu, or leave it "
            "out to take what is there"
        )
    return None


def _system(error: OSError) -> str:
    why = error.strerror or str(error)
    if error.filename is not None:
        return f"{error.filename}: {why}"
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        discard(sys.stdout)
        return f"standard output cannot be written: {why}"
    return why


def _platforms() -> str:
    jax = sys.modules.get("jax")
    asked = jax.config.jax_platforms if jax is not None else ""
    return f"JAX_PLATFORMS is {asked!r}" if asked else "of any kind"


def _innermost(error: BaseException) -> str:
    """The file that raised the error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return Path(trace.tb_frame.f_code.co_filename).name if trace is not None else ""


def _read_json(error: BaseException) -> bool:
    """Whether it came from reading JSON."""
    trace, names = error.__traceback__, set()
    while trace is not None:
        names.add(Path(trace.tb_frame.f_code.co_filename).parent.name)
        trace = trace.tb_next
    return "json" in names
