"""The `Status` object: how every refusal of the API is told to clients, and read by them."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An HTTP status with Kubernetes' reason for it, a message for people, and details for programs."""

    def __init__(self, status: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details or {}

    def document(self) -> dict[str, Any]:
        """The `Status` object that clients get. It always has details: kubectl takes them for granted."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.status,
        }


def error_of(document: dict[str, Any]) -> ApiError:
    """The refusal that a `Status` object tells of."""
    return ApiError(
        int(document.get("code") or 500),
        str(document.get("reason") or "Unknown"),
        str(document.get("message") or ""),
        document.get("details"),
    )
