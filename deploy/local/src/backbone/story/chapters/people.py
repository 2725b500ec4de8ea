"""Who and what the story is about."""

from __future__ import annotations

from typing import Final

MEMBER_ID: Final = "mark-stevens"
MEMBER_NAME: Final = "Mark Stevens"
AMOUNT_MINOR: Final = 11_000
GRADING_MINOR: Final = 4_400
REFUND_MINOR: Final = 5_000
TRIALIST_ID: Final = "isla-morgan"
TRIALIST_NAME: Final = "Isla Morgan"
TRIAL_FEE_MINOR: Final = 3_300

TRIAL_KEY: Final = "board:trial-arrival:isla-morgan"
PICKUP_KEY: Final = "board:pickup-authority:alessandro"
COMP_BOARD_KEY: Final = "board:comp-board:winter-invitational"
