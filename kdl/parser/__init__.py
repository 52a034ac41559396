"""What people write, turned into syntax trees and documents.

Belongs here: the grammar, the syntax tree, parsing, formatting, diagnostics, and reading manifests.
Does not: what a program means (`kdl.rules`), and anything that does IO beyond reading a given file.
"""
