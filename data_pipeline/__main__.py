"""`python -m data_pipeline inspect | export | clean`: see data, hand it on, tidy."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from data_pipeline.config import DataConfig
from data_pipeline.errors import DataError, unknown_name

# Other words for a command and an option.
SHORT = {"--vocabulary": "--max-vocabulary", "--clean": "clean"}
Source = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
Data = Annotated[DataConfig, tyro.conf.OmitArgPrefixes]


def _configured(source: str, data: DataConfig) -> DataConfig:
    return dataclasses.replace(data, corpus=source)


def inspect(
    source: Source,
    /,
    data: Data = DataConfig(),  # noqa: B008 (frozen)
    samples: int = 10,
    plot: Path = Path("inspect.png"),
) -> None:
    """Print what is in a corpus, and draw coverage and sentence lengths.

    Args:
        source: name or path of the corpus, as in --corpus.
        samples: texts shown before and after limiting the vocabulary.
        plot: the picture to write.
    """
    from data_pipeline import inspection

    found = inspection.inspect(_configured(source, data))
    for line in inspection.report(found, samples):
        print(line)
    inspection.plot(found, plot)
    print(f"drawn in {plot}")


def export(
    source: Source,
    /,
    out: Path,
    data: Data = DataConfig(),  # noqa: B008 (frozen)
    name: str = "",
) -> None:
    """Write a corpus as a TFDS dataset (array_record) with its vocabulary.

    Args:
        source: name or path of the corpus, as in --corpus.
        out: folder to write into; the dataset comes to be in OUT/NAME/1.0.0.
        name: the dataset's name; by default after the corpus.
    """
    from data_pipeline.export import export as write

    path = write(_configured(source, data), out, name)
    print(f"{path}\nopen it: tfds.builder_from_directory({str(path)!r})")


def clean(cache_dir: str = "", remove: bool = False) -> None:
    """Show what large corpora left in the cache, and remove it on demand.

    Args:
        cache_dir: the folder, as in --data.cache-dir.
        remove: remove all that is shown.
    """
    from data_pipeline import store
    from data_pipeline.paths import cache_folder

    cache = cache_folder(cache_dir)
    entries = store.prepared(cache)
    for entry in entries:
        print(f"{entry.size / 1e6:10.1f} MB  {entry.name:30}  {entry.path}")
        if remove:
            store.remove(entry)
    verb = "removed" if remove else "kept; --remove removes them"
    print(f"{len(entries)} prepared corpora in {cache} {verb if entries else ''}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 2 after an error of the user's."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    given = [SHORT.get(word, word) for word in given]
    commands = {"inspect": inspect, "export": export, "clean": clean}
    try:
        if given and not given[0].startswith("-") and given[0] not in commands:
            raise unknown_name("command", given[0], commands)
        tyro.extras.subcommand_cli_from_dict(
            commands, args=given, prog="python -m data_pipeline", description=__doc__
        )
    except (DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
