"""The form as the page's parts see it: the boxes above it, its fields, and how they are filled together."""

from pathlib import Path
from typing import Any

import gradio as gr

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import StudioError, UsageError
from studio.core.home import Home
from studio.core.rights import LOCAL, Rights
from studio.ui import form_html, forms
from studio.ui.catalogue import language_of, method_choices, say, translated, word
from studio.ui.events import in_line
from studio.ui.forms import Screen
from studio.ui.guard import guarded
from studio.ui.scripts import script

#: in the browser, before an event is sent: its first input is the form as it stands on the screen, empty before it is
SCREEN = "(window.studioForm?.read() || (form?.screen ? JSON.stringify(form.screen) : ''))"
READ = f"(form, ...rest) => [{SCREEN}, ...rest]"
LOCKED = "(...sent) => {{ const said = ({read})(...sent); window.studioForm?.lock(true); return said; }}"
UNLOCK = "window.studioForm?.lock(false);"
#: of what takes the form as it is: what fills it comes first
SETTLED = f"async (form, ...rest) => {{ await studioLine.empty('form'); return [{SCREEN}, ...rest]; }}"


class Form:
    """Preset, method, what the method is, and the fields; laid out by `place`, filled as one by `fill`."""

    def __init__(self, home: Home, preset: str, rights: Rights = LOCAL) -> None:
        """`preset` is what it says at first; a hosted page shows no other of its owner's own presets."""
        self.default, self.rights = preset, rights
        self._home = home if rights.local else None
        self._files = {preset: recipes.find_preset(preset, home)}
        self._draft = f"transfer-studio-form-{preset}"  # where a refresh of a tab finds its form again
        self.preset = gr.Dropdown(
            self._presets("en"), value=None, render=False, elem_id="train-preset",
            label=word("train.preset"), info=word("train.preset.info"),
        )  # fmt: skip
        self.method = gr.Dropdown(
            method_choices(cls.id for cls in registry.methods()), render=False,
            label=word("train.method"), elem_id="train-method",
        )  # fmt: skip
        self.about = gr.Markdown(elem_id="train-about", render=False)
        self.entry = gr.HTML(
            html_template="<div></div>", js_on_load=script("form.js"), apply_default_css=False, elem_id="train-form",
            render=False, draft=self._draft,
        )  # fmt: skip

    @property
    def filled(self) -> list[Any]:
        """The components that `fill` gives values for, in its order."""
        return [self.preset, self.method, self.about, self.entry]

    def place(self) -> None:
        """Lays the form out here, and ties the boxes above it to its fields."""
        for component in (self.preset, self.method, self.about, self.entry):
            component.render()
        for box, handler in ((self.preset, self._choose_preset), (self.method, self._choose_method)):
            self.filled_by(box.select, guarded(handler), [self.entry, box], self.filled)
        kept = f"form => {{ if (!window.studioForm) sessionStorage.setItem('{self._draft}', {SCREEN}); }}"
        self.entry.change(None, [self.entry], None, js=kept, api_visibility="private")  # before its tab was ever opened

    def filled_by(self, event: Any, handler: Any, inputs: list[Any], outputs: list[Any], read: str = READ) -> Any:
        """Ties an event to a handler that fills the form, in which nobody can write until it is filled; the event.

        One after the other. `read` makes in the browser what is sent of the inputs: first of all, the form as it
        stands on the screen then.
        """
        quiet = {"show_progress": "hidden", "api_visibility": "private"}
        js = LOCKED.format(read=read)
        return in_line(event, "form", handler, inputs, outputs, js=js, end=UNLOCK, **quiet)

    def restore(self, page: gr.Blocks) -> None:
        """As the page opens, the form is as this tab left it; what else fills it comes after, however early."""
        stored = f"() => [sessionStorage.getItem('{self._draft}') || '']"
        quiet = {"show_progress": "hidden", "api_visibility": "private"}
        in_line(page.load, "form", guarded(self._restore), [self.entry], self.filled, js=stored, **quiet)

    def fill(self, screen: Screen, language: str) -> list[Any]:
        """New values of `filled`: the form says `screen`."""
        preset = screen.preset if screen.preset in self._known() else None
        box = gr.update(choices=self._presets(language), value=preset)
        return [box, screen.method, _about(screen.method, language), form_html.drawn(screen, language, self.rights)]

    def of_preset(self, name: str, before: str = "") -> Screen:
        """The form of a preset; the person's own training data stay where it learns from such data too."""
        values = recipes.read_yaml(self._known().get(name) or recipes.find_preset(name, self._home))
        screen = forms.screen_of(values, name)
        if not before:
            return screen
        form = forms.read_screen(before)
        data, same_task = str(form.texts.get("data.train", "")), _task(form) == _task(screen)
        if data and not data.startswith("builtin:") and same_task and "data.train" in forms.keys(screen)[0]:
            recipes.override(values, {"data.train": data})
        return forms.screen_of(values, name)

    def check_shown(self, screen: Screen, language: str) -> None:
        """Raises UsageError where the boxes above the form show another preset or method than the fields are of."""
        presets = {value: label for label, value in self._presets(language)}
        right = {"preset": presets.get(screen.preset, ""), "method": say(f"method.{screen.method}", language)}
        for box, value in (("preset", screen.preset), ("method", screen.method)):
            shown = screen.shown.get(box, "")
            if shown != right[box]:
                raise UsageError(say("train.unsettled", language, box=box, shown=shown, fields=value))

    def _choose_preset(self, sent: str, name: str | None, request: gr.Request) -> list[Any]:
        screen = self.of_preset(name, sent) if name else forms.read_screen(sent)
        _, *rest = self.fill(screen, language_of(request))
        return [gr.skip(), *rest]  # what is chosen stays: it may be another by now

    def _choose_method(self, sent: str, method: str | None, request: gr.Request) -> list[Any]:
        screen = forms.read_screen(sent)
        preset, _, *rest = self.fill(screen.with_method(method) if method else screen, language_of(request))
        return [preset, gr.skip(), *rest]

    def _restore(self, stored: str, request: gr.Request) -> list[Any]:
        try:
            screen = forms.read_screen(stored)
        except StudioError:  # nothing stored, or by an earlier version of the page
            screen = self.of_preset(self.default)
        return self.fill(screen, language_of(request))

    def _presets(self, language: str) -> list[tuple[str, str]]:
        abouts = {
            name: translated(recipes.read_yaml(path).get("about", ""), language) for name, path in self._known().items()
        }
        return sorted((f"{name}  ·  {about}" if about else name, name) for name, about in abouts.items())

    def _known(self) -> dict[str, Path]:
        return {**recipes.presets(self._home), **self._files}


def _task(screen: Screen) -> str:
    return registry.get(screen.method).task


def _about(method_id: str, language: str) -> str:
    facts = registry.describe(registry.get(method_id))
    first = translated(" ".join(facts["about"].split("\n\n")[0].split()), language)
    return f"{first}\n\n*{facts['paper']}*" if facts["paper"] else first
