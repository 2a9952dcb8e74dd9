"""The states and kinds that rows can have, each a word of docs/architecture.md."""

from enum import StrEnum


class Kind(StrEnum):
    """What sort of release it is."""

    PRESS_RELEASE = "press-release"
    INVITATION = "invitation"
    NEWS = "news"


class ReleaseState(StrEnum):
    """Where a release is in its life."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


class SubscriptionState(StrEnum):
    """Where a subscription is in its life; it never goes back."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    ENDED = "ended"


class DispatchState(StrEnum):
    """Where a mailing is."""

    EXPANDING = "expanding"
    SENDING = "sending"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class DeliveryKind(StrEnum):
    """What a mail is; only a release mail belongs to a dispatch."""

    RELEASE = "release"
    CONFIRMATION = "confirmation"
    NOTICE = "notice"
    TEST = "test"


class DeliveryState(StrEnum):
    """Where one mail is."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    DEFERRED = "deferred"
    UNCERTAIN = "uncertain"
    SKIPPED = "skipped"


class SuppressionReason(StrEnum):
    """Why an address must not be mailed."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    MANUAL = "manual"


class Role(StrEnum):
    """What somebody may do in a newsroom: write drafts; send them too; and see to the newsroom itself."""

    EDITOR = "editor"
    PUBLISHER = "publisher"
    ADMIN = "admin"

    def may(self, needed: "Role") -> bool:
        """Tell whether this role includes the needed one."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)
