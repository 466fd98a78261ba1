"""Mirror the installed tree for type checkers, which follow folders, not build settings."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def build_view(root: Path = ROOT) -> Path:
    """Bring ``build/view`` in step with the package table of pyproject.toml; return the view."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())
    mapping: dict[str, str] = settings["tool"]["scikit-build"]["wheel"]["packages"]
    view = root / "build" / "view"
    for target, source in sorted(mapping.items()):
        link_entries(view / target, root / source)
    return view


def link_entries(folder: Path, source: Path) -> None:
    """Make ``folder`` hold one link to each entry of ``source``; real folders in it stay."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {folder / e.name: e for e in source.iterdir() if e.name != "__pycache__"}
    for link in [path for path in folder.iterdir() if path.is_symlink()]:
        if link not in wanted or link.readlink() != wanted[link]:
            link.unlink()
    for link, entry in wanted.items():
        if not link.is_symlink():
            link.symlink_to(entry)


if __name__ == "__main__":
    print(build_view())
