"""The page as a whole: its tabs, one form that they share, and the server settings."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from anyio import to_thread
from gradio.context import LocalContext
from gradio.exceptions import ComponentProcessingError
from starlette.middleware import Middleware

from studio.core import recipe as recipes
from studio.core.home import Home
from studio.data.files.limits import HOSTED, LIMITS
from studio.ui import catalogue, photos, scripts
from studio.ui.actions import Actions
from studio.ui.api import add_api
from studio.ui.catalogue import word
from studio.ui.doors import LOCAL_NAMES, Doors, Served
from studio.ui.files import refuse_addresses
from studio.ui.form import Form
from studio.ui.kept_assets import KeptAssets
from studio.ui.kept_page import KeptPage
from studio.ui.lesson import first_lesson
from studio.ui.pages import class_boxes, data, label, learn, runs, start, train, tryit
from studio.ui.progress import show_little_progress
from studio.ui.sessions import SESSIONS, LeanConfig
from studio.ui.start_cards import cards
from studio.ui.upload_door import HOSTED_BYTES, UploadDoor
from studio.ui.visitors import secret_of

FONTS = ["system-ui", "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "sans-serif"]  # the machine's own: none is fetched

#: whole pieces of the page that are there before anything is asked of the server
PIECES = {
    "start.cards": cards,
    "data.folder": data.folder_drop,
    "data.webcam.piece": class_boxes.webcam,
    "learn.first": first_lesson,
}
API_LINK = "<a href='./?view=api'>API · MCP</a>"  # opens the page in full: what it shows otherwise is lean

EVERY_S = 1.0  # between looks at the run being watched


@dataclass
class Shared:
    """What the tabs share: the form of the recipe, the run being watched."""

    actions: Actions
    form: Form
    run: gr.BrowserState  # id of the run being watched
    banner: gr.HTML  # what it is doing, above every tab
    timer: gr.Timer


def _theme() -> gr.themes.Base:
    """Gradio's own theme, with text that stands out from its ground by 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    strong = {"button_primary_background_fill": "*primary_700", "button_primary_background_fill_hover": "*primary_800"}
    return gr.themes.Default(primary_hue="teal", neutral_hue="slate", font=FONTS).set(
        **strong,
        **{f"{name}_dark": shade for name, shade in strong.items()},
        color_accent="*primary_700",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_200",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
    )


class Page(gr.Blocks):
    """Blocks that launch with the studio's look, words and settings unless told otherwise."""

    hosted = False  # for visitors, who send less and name no files elsewhere
    served = Served()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.default_config = LeanConfig(self)

    async def process_api(self, block_fn: Any, inputs: list[Any], *args: Any, **options: Any) -> dict[str, Any]:
        """As Gradio's, and what is said of the inputs is said in the language of who sent them."""
        LocalContext.request.set(options.get("request"))
        return await super().process_api(block_fn, inputs, *args, **options)

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **options: Any) -> list[Any]:
        """As Gradio's, and of a photo that can't be used it is said why; for visitors it fetches no file."""
        if self.hosted:
            refuse_addresses(inputs)
        sent, limits = photos.sent(block_fn.inputs, inputs), HOSTED if self.hosted else LIMITS
        photos.judge(sent, limits)
        try:
            return await super().preprocess_data(block_fn, inputs, *args, **options)
        except ComponentProcessingError:
            await to_thread.run_sync(photos.judge_whole, sent, limits)
            raise

    def launch(self, *args: Any, **options: Any) -> Any:
        served = replace(self.served, address=options.get("server_name"))
        settings = {
            "app_kwargs": {
                "middleware": [
                    Middleware(Doors, served),
                    Middleware(KeptPage),
                    Middleware(KeptAssets),
                    Middleware(UploadDoor, HOSTED_BYTES if self.hosted else None),
                ]
            },
            "theme": _theme(),
            "css_paths": Path(__file__).parent / "style.css",
            "js": scripts.first(),
            "favicon_path": Path(__file__).parent / "icon.svg",
            "i18n": catalogue.translations(PIECES),
            "footer_links": ["api"],
            "run_history": False,
            "enable_monitoring": False,
            "max_file_size": "2gb",
            "state_session_capacity": SESSIONS,
            "pwa": False,
            "_frontend": False,  # or Gradio gives up where load or a proxy keeps it from its own page for 3 s
        }
        return super().launch(*args, **{**settings, **options})


def build_app(
    home: Home | None = None, preset: str | None = None, hosted: bool | None = None, hosts: Sequence[str] = ()
) -> gr.Blocks:
    """The page. `hosted` (default: on a Space): for visitors, who see and open their own things alone.

    `hosts` are the names that the page answers to, beside those of this machine: `studio.example.org`, `*.lan`. Without
    any a hosted page answers to every name.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")  # else a table of 10,000 calls is made at each call
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "100")
    home = home or Home.find()
    actions = Actions(home, os.environ.get("SYSTEM") == "spaces" if hosted is None else hosted)
    recipes.find_preset(preset or "quickstart", home)
    secret = secret_of(home)
    with Page(title="Transfer Studio", analytics_enabled=False, delete_cache=(3600, 86400), fill_width=False) as page:
        gr.Markdown(word("hero"), elem_id="hero")
        form = Form(home, preset or "quickstart", actions.home.rights)
        run = gr.BrowserState("", storage_key="transfer-studio-run", secret=secret)
        banner, timer = gr.HTML(elem_id="run-banner"), gr.Timer(EVERY_S)
        with gr.Tabs(selected="start", elem_id="tabs") as tabs:
            shared = Shared(actions, form, run, banner, timer)
            with gr.Tab(word("tab.start"), id="start", elem_id="tab-start"):
                start.build(shared)
            with gr.Tab(word("tab.data"), id="data", elem_id="tab-data"):
                data.build(shared)
            with gr.Tab(word("tab.label"), id="label", elem_id="tab-label") as label_tab:
                label.build(shared, label_tab, page)
            with gr.Tab(word("tab.train"), id="train", elem_id="tab-train"):
                train.build(shared)
            with gr.Tab(word("tab.runs"), id="runs", elem_id="tab-runs") as runs_tab:
                runs.build(shared, runs_tab)
            with gr.Tab(word("tab.try"), id="try", elem_id="tab-try") as try_tab:
                tryit.build(shared, try_tab)
            with gr.Tab(word("tab.learn"), id="learn", elem_id="tab-learn"):
                learn.build(shared)
        gr.HTML(API_LINK, elem_id="api-link", padding=False)
        form.restore(page)
        page.load(_asked_run, [run], [run, tabs], show_progress="hidden", api_visibility="private")
        add_api(actions)
    show_little_progress(page, banner)
    page.hosted = actions.hosted
    page.queue(default_concurrency_limit=8, api_open=False)
    page.served = Served(frozenset(hosts), actions.visitors)
    return page


def serve(
    host: str = "127.0.0.1",
    port: int = 7860,
    preset: str | None = None,
    auth: str | None = None,
    share: bool = False,
    hosted: bool = False,
    hosts: Sequence[str] = (),
) -> int:
    """Serves the page until interrupted. Anything but this machine's own address counts as hosted."""
    local = host in LOCAL_NAMES and not share and not hosted
    page = build_app(preset=preset, hosted=None if local else True, hosts=hosts)
    name, _, password = (auth or "").partition(":")
    page.launch(
        server_name=host,
        server_port=port,
        share=share,
        auth=(name, password) if auth else None,
        mcp_server=not auth,  # Gradio's MCP server knows no password: it would list its tools to anyone
        show_error=False,
    )
    return 0


def _asked_run(run: str, request: gr.Request) -> tuple[Any, Any]:
    """A page opened as `?run=ID` shows that run."""
    asked = request.query_params.get("run", "") if request is not None else ""
    return (asked, gr.Tabs(selected="train")) if asked else (run, gr.skip())
