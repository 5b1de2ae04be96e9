"""What is shown in a toast: notices, and errors; known ones as they are, surprises with a reference only.

A toast is drawn as HTML, and its text may name what came from outside: it is escaped here and nowhere else.
"""

import functools
import logging
import secrets
from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from studio.core.errors import StudioError
from studio.ui.catalogue import explained, language_asked, say

_log = logging.getLogger("studio.ui")


def guarded(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A handler whose StudioErrors are shown as sentences; anything else is logged and named by a code."""

    @functools.wraps(handler)
    def run(*args: Any, **options: Any) -> Any:
        try:
            return handler(*args, **options)
        except StudioError as error:
            raise _failure(explained(str(error), language_asked()), duration=12, print_exception=False) from error
        except gr.Error:
            raise
        except Exception as error:
            code = secrets.token_hex(3)
            _log.exception("page error %s", code)
            raise _failure(say("toast.unforeseen", language_asked(), kind=type(error).__name__, code=code)) from error

    return run


def inform(text: str, seconds: float = 10) -> None:
    """Shows a sentence for a while; no part of it is markup."""
    gr.Info(_as_text(explained(text, language_asked())), duration=seconds, title=say("toast.notice", language_asked()))


def _failure(sentence: str, **options: Any) -> gr.Error:
    return gr.Error(_as_text(sentence), title=say("toast.error", language_asked()), **options)


def _as_text(text: str) -> str:
    return escape(text, quote=False)
