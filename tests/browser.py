"""A browser without a window, where one is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def browser() -> str:
    """The program; skips the test where there is none."""
    kept = Path.home().glob(".cache/ms-playwright/chromium-*/chrome-linux*/chrome")
    found = [path for name in NAMES if (path := shutil.which(name))]
    for path in [*found, *map(str, kept)]:
        return path
    pytest.skip("no Chromium is installed")


def rendered(page: Path, address: str = "", width: int = 1280) -> str:
    """The page as it stands once its scripts have run: HTML."""
    profile = page.parent / "profile"
    command = [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={profile}", f"--window-size={width},900"]
    command += ["--virtual-time-budget=2000", f"{page.as_uri()}{address}"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0 and shown.stdout, shown.stderr
    return shown.stdout
