"""Reading Kubernetes manifests: text → objects of the one stored version of their kind, converted, checked, defaulted.

Belongs here: the table of kinds, loading with line numbers, conversion of older versions, the checks that need one
object only, and Kubernetes' defaults. Does not: what an object means (rules), and any check that needs a second object.
"""
