"""Mutate until the time is over; keep what is wrong."""

from __future__ import annotations

import hashlib
import random
import sys
import time
import traceback
from pathlib import Path

from tests.fuzz.mutate import ROOT, manifests, mutated, packs, programs
from tests.fuzz.targets import SUFFIX, TARGETS, Hang

FOUND = Path(__file__).parent / "found"


def text_for(target: str, chance: random.Random) -> str:
    """A mutated text for a target."""
    if target == "pack":
        name = chance.choice(packs())
        texts = tuple((ROOT / other).read_text("utf-8") for other in packs())
        return f"# {name}\n" + mutated(chance, (ROOT / name).read_text("utf-8"), texts)
    texts = programs() if target == "program" else manifests()
    return mutated(chance, chance.choice(texts), texts)


def main(seconds: float, seed: int) -> int:
    """Mutate, ask, and tell; 1 if something was found."""
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
            file = FOUND / f"{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}{SUFFIX[target]}"
            file.write_bytes(text.encode())
            print(f"{file.name}: {type(error).__name__}: {str(error)[:300]} ({place})", flush=True)
    print(f"tried {', '.join(f'{count} {name}s' for name, count in tried.items())}: {len(told)} kinds of trouble")
    return int(bool(told))


if __name__ == "__main__":
    arguments = [float(word) for word in sys.argv[1:]]
    sys.exit(main(*(arguments[:1] or [60.0]), int(arguments[1]) if len(arguments) > 1 else 0))
