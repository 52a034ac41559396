"""Mutated programs, packs and manifests, and requests to a running API: no traceback, no hang, no wrong answer.

``python -m tests.fuzz texts`` mutates what is in the repository, ``api`` asks a `kdl up` what its OpenAPI describes and
what it does not, ``kill`` ends one with `kill -9` while it is written to. An input that is wrong is kept in `found`;
the tests here ask all that are there again, and a few hundred new ones.
"""
