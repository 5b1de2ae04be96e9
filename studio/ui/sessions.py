"""What a visit costs in memory and time: sessions without a copy of the page, and few of them.

Gradio describes each of the page's two hundred components anew for every session (and every call over
HTTP opens one), which takes 25 to 50 ms and 0.4 MB, and keeps 10,000. The descriptions serve deep links,
which this page has none of.
"""

from typing import Any

from gradio.blocks import BlocksConfig

SESSIONS = 500  # kept at most; what a browser must not lose is in the browser and in the store


class LeanConfig(BlocksConfig):
    """Describes components for the page, and not for sessions."""

    def config_for_block(self, _id: int, rendered_ids: list[int], block: Any, *renderable: Any) -> dict[str, Any]:
        """As Gradio does where the page asks, which says what it renders; empty where a session does."""
        return BlocksConfig.config_for_block(_id, rendered_ids, block, *renderable) if renderable else {}

    def __copy__(self) -> "LeanConfig":
        copied = super().__copy__()
        copied.__class__ = LeanConfig
        return copied
