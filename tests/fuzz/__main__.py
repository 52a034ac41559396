"""``python -m tests.fuzz [texts|api|kill] [--seconds N] [--seed N]``: try it for so long, keep what is wrong."""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.fuzz import api
from tests.fuzz.kill import one_round
from tests.fuzz.mutate import ROOT, manifests, mutated, packs, programs
from tests.fuzz.targets import SUFFIX, TARGETS, Hang
from tests.fuzz.up import Up

FOUND = Path(__file__).parent / "found"
CLIENTS = 2


def text_for(target: str, chance: random.Random) -> str:
    """A mutated text for a target."""
    if target == "pack":
        name = chance.choice(packs())
        texts = tuple((ROOT / other).read_text("utf-8") for other in packs())
        return f"# {name}\n" + mutated(chance, (ROOT / name).read_text("utf-8"), texts)
    texts = programs() if target == "program" else manifests()
    return mutated(chance, chance.choice(texts), texts)


def texts(seconds: float, seed: int) -> int:
    """Mutate texts, ask, and tell; 1 if something was found."""
    until, told, tried = time.monotonic() + seconds, set[str](), dict.fromkeys(TARGETS, 0)
    while time.monotonic() < until:
        seed += 1
        chance = random.Random(seed)
        target = chance.choices(list(TARGETS), (12, 1, 6))[0]
        text = text_for(target, chance)
        tried[target] += 1
        try:
            TARGETS[target](text)
        except (Exception, Hang) as error:
            frames = traceback.extract_tb(error.__traceback__)
            place = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in frames[:-4:-1])
            if place in told:
                continue
            told.add(place)
            file = kept(text.encode(), SUFFIX[target])
            print(f"{file.name}: {type(error).__name__}: {str(error)[:300]} ({place})", flush=True)
    print(f"tried {', '.join(f'{count} {name}s' for name, count in tried.items())}: {len(told)} kinds of trouble")
    return int(bool(told))


def requests(seconds: float, seed: int) -> int:
    """Ask a running cluster's API; 1 if something was found."""
    with tempfile.TemporaryDirectory() as folder, Up(Path(folder) / "data") as up:
        fuzzers = api.fuzz(up, seconds, seed, CLIENTS)
        running, memory, said = up.running, up.memory if up.running else 0, api.spoken(up)
    told = {trouble.place: trouble for fuzzer in fuzzers for trouble in fuzzer.trouble}
    for trouble in told.values():
        print(f"{kept(api.written(trouble.request), api.SUFFIX).name}: {trouble.what}")
    print(*said, sep="\n")
    statuses = sum((fuzzer.statuses for fuzzer in fuzzers), Counter())
    print(", ".join(f"{method} {status}: {count}" for (method, status), count in sorted(statuses.items())))
    print(
        f"asked {statuses.total()} times, the slowest answer took {max(f.slowest for f in fuzzers):.1f} s: "
        f"{len(told)} kinds of trouble, {len(said)} words of the server; "
        f"{f'{memory / 1e6:.0f} MB resident' if running else 'it has died'}"
    )
    return int(bool(told or said or not running))


def kills(seconds: float, seed: int) -> int:
    """Kill a cluster that is written to, again and again; 1 if it breaks its word."""
    until, wrong, done = time.monotonic() + seconds, 0, 0
    while time.monotonic() < until:
        seed += 1
        done += 1
        with tempfile.TemporaryDirectory() as folder:
            try:
                print(f"seed {seed}: {one_round(Path(folder), seed)}", flush=True)
            except AssertionError as error:
                wrong += 1
                print(f"seed {seed}: {error}", flush=True)
    print(f"{done} rounds: {wrong} went wrong")
    return int(bool(wrong))


def kept(data: bytes, suffix: str) -> Path:
    """The file in which an input is kept that was found wrong."""
    file = FOUND / f"{hashlib.blake2b(data, digest_size=4).hexdigest()}{suffix}"
    file.write_bytes(data)
    return file


def main() -> int:
    """The exit code."""
    what = {"texts": texts, "api": requests, "kill": kills}
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("what", nargs="?", choices=what, default="texts")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    return what[given.what](given.seconds, given.seed)


if __name__ == "__main__":
    sys.exit(main())
