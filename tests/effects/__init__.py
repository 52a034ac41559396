"""Tests of kdl.effects."""
