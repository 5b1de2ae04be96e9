"""What a browser is sent to draw the page: without what serves scripts alone, which it would walk through for nothing.

Gradio describes each component's values for its API docs, and each endpoint, in the page itself: more than half of it.
What opens a page takes time for every component and event there. Asked with `?view=api` the page has them all.
Where its address is shared, its preview tells of the studio, not of Gradio.
"""

import json
import re
from typing import Any

_CONFIG = re.compile(rb"<script>window\.gradio_config = (\{.*?\});</script>", re.DOTALL)
_API_INFO = re.compile(rb"<script>window\.gradio_api_info = (\{.*?\});</script>", re.DOTALL)
NO_API = b'<script>window.gradio_api_info = {"named_endpoints": {}, "unnamed_endpoints": {}};</script>'
_PREVIEW = re.compile(rb'\s*<meta\s+(?:property="og:|name="twitter:)[^>]*>')
FOR_DOCS = ("api_info", "api_info_as_input", "api_info_as_output", "example_inputs", "skip_api")


#: Gradio compares each component with each event, and Svelte watches each look at a plain object: these it leaves alone
UNWATCHED = b"""<script>{
const unwatched = Object.create(Object.prototype);
const { components, dependencies } = window.gradio_config;
for (const described of [...components, ...dependencies]) Object.setPrototypeOf(described, unwatched);
}</script>"""


#: what a messenger shows of a shared address (Open Graph): no picture, since none here is at an address of its own
PREVIEW = b"""
		<meta property="og:type" content="website" />
		<meta property="og:title" content="Transfer Studio" />
		<meta property="og:description" content="Move pretrained vision models to your own classes" />
		<meta name="description" content="Move pretrained vision models to your own classes" />
		<meta name="twitter:card" content="summary" />"""


def lean(html: bytes) -> bytes:
    """The page without endpoints that no part of it calls, and without its API docs; as it is where it has neither.

    What describes it is kept from Svelte's watch: the page is drawn from copies, and waits for nothing longer.
    """
    written = _CONFIG.search(html)
    if not written:
        return html
    config = json.loads(written[1])
    if not config.get("dependencies"):  # a login
        return html
    text = json.dumps(_without_api(config), separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")
    page = html[: written.start(1)] + text.encode() + html[written.end(1) : written.end()]
    page += UNWATCHED + html[written.end() :]
    page = _PREVIEW.sub(b"", page).replace(b"<head>", b"<head>" + PREVIEW, 1)
    return _API_INFO.sub(lambda _: NO_API, page, count=1)


def _without_api(config: dict[str, Any]) -> dict[str, Any]:
    """Without events that nothing on the page triggers, and without the unseen components that serve these alone."""
    called = [event for event in config["dependencies"] if event["targets"]]
    used = {number for event in called for number in (*event["inputs"], *event["outputs"])}
    known = {component["id"]: component for component in config["components"]}
    parts = [part for part in config["layout"]["children"] if not _is_for_scripts(part, known, used)]
    kept = {number for part in parts for number in _within(part)}
    components = [
        {key: value for key, value in component.items() if key not in FOR_DOCS}
        for component in config["components"]
        if component["id"] in kept
    ]
    layout = {**config["layout"], "children": parts}
    page = {"layout": layout, "components": sorted(kept), "dependencies": [event["id"] for event in called]}
    return {**config, "components": components, "dependencies": called, "layout": layout, "page": {"": page},
            "footer_links": []}  # fmt: skip


def _is_for_scripts(part: dict[str, Any], known: dict[int, Any], used: set[int]) -> bool:
    component = known[part["id"]]
    unseen = component["type"] == "api" or component["props"].get("visible") is False
    return unseen and not used.intersection(_within(part))


def _within(part: dict[str, Any]) -> list[int]:
    """The number of a part of the layout and of all that lies in it."""
    return [part["id"], *(number for child in part.get("children", ()) for number in _within(child))]
