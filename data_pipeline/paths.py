"""Paths as users give them: one rule for all of them."""

import os
from pathlib import Path

from data_pipeline.errors import DataError


def user_path(given: str | Path, what: str) -> Path:
    """The path that a user means: `~` and `~name` are expanded.

    Args:
      what: the option or field it was given to, for the message.

    Raises:
      DataError: for an empty one, the home of a user who is not there, or bytes that
        are not UTF-8 (they come as lone surrogates).
    """
    text = str(given)
    if not text.strip():
        raise DataError(f"{what} is empty: give the path of a file or a folder")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"{what} is {text!r}: its name is not UTF-8; rename it"
            ) from None
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise DataError(
            f"{what} is {text!r}: there is no user {text.split('/')[0][1:]!r}; for a "
            "name that begins with ~ write ./~"
        ) from None


def cache_folder(given: str = "") -> Path:
    """Where prepared data are kept: the folder given, or one in the user's cache."""
    if given:
        return user_path(given, "data.cache_dir")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "recurrent-language-models" / "data"
