"""Mutated programs, packs and manifests: no traceback, no hang, no wrong answer.

``python -m tests.fuzz [SECONDS] [SEED]`` mutates what is in the repository until the time is over. An input that is
wrong is kept in `found`, and `test_fuzz` asks all that are there again, and a few hundred new ones.
"""
