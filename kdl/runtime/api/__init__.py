"""Kubernetes' API over a store: what its verbs mean, over HTTP, and a client for it.

Belongs here: operations on objects (`service`), selectors, patches, errors as `Status`, the HTTP server and the client.
Does not: decisions about objects. Who may do what, what is admitted and what follows from an object are rules.
"""
