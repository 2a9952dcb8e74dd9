"""The tables, nothing else. Words as in docs/architecture.md."""

from service.models.content import Contact, Newsroom, Release, Version
from service.models.following import Consent, Subscription, Suppression
from service.models.mailing import DUE, IN_HAND, Claim, Delivery, Dispatch, Message, Relay
from service.models.staff import ApiKey, Audit, Creation, Login, Membership, Staff

__all__ = [
    "DUE",
    "IN_HAND",
    "ApiKey",
    "Audit",
    "Claim",
    "Consent",
    "Contact",
    "Creation",
    "Delivery",
    "Dispatch",
    "Login",
    "Membership",
    "Message",
    "Newsroom",
    "Relay",
    "Release",
    "Staff",
    "Subscription",
    "Suppression",
    "Version",
]
