"""Hostile text as safe HTML: Markdown and highlighted code. Pure.

HTML in a text stays text. Images are never loaded: an address that a model chose would carry away what it read. Links
lead to http, https and mailto alone, and show their whole address. Nothing here writes a `style`.
"""

from __future__ import annotations

from typing import Any, MutableMapping, Sequence
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape
from pygments import highlight as pygments_highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

LONGEST_MARKDOWN = 60_000
LONGEST_CODE = 20_000
_SCHEMES = ("http", "https", "mailto")
_FORMATTER = HtmlFormatter(nowrap=True)


def markdown(text: str) -> Markup:
    """*text* as HTML; a very long one as it is."""
    if len(text) > LONGEST_MARKDOWN:
        return plain(text)
    try:
        return Markup(_MARKDOWN.render(text))  # noqa: S704 - its rules escape everything
    except Exception:  # a text that confuses the parser is shown as it is
        return plain(text)


def plain(text: str) -> Markup:
    """*text* as it is, with its line breaks."""
    return Markup("<pre class='plain'>{}</pre>").format(text)


def code(text: str, language: str = "json") -> Markup:
    """*text* with its syntax in colours, if the language is known and the text no novel."""
    if len(text) <= LONGEST_CODE and language:
        try:
            lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
            return Markup(pygments_highlight(text, lexer, _FORMATTER))  # noqa: S704 - Pygments escapes
        except ClassNotFound:
            pass
    return escape(text)


def is_safe_link(address: str) -> bool:
    """Whether a click may lead there."""
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        return False
    return parts.scheme.lower() in _SCHEMES and bool(parts.netloc or parts.scheme.lower() == "mailto")


def _highlighted(text: str, language: str, _attributes: str) -> str:
    return str(code(text, language))


def _link_open(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    address = str(tokens[at].attrGet("href") or "")
    env.setdefault("open", []).append(address)
    return f'<a href="{escape(address)}" rel="noopener noreferrer" target="_blank">'


def _link_close(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    address = env["open"].pop() if env.get("open") else ""
    return f'</a> <span class="address">({escape(address)})</span>'


def _image(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    token = tokens[at]
    return (
        f'<span class="not-loaded">image, not loaded: {escape(token.content)} '
        f'<span class="address">({escape(str(token.attrGet("src") or ""))})</span></span>'
    )


def _cell_open(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    """A cell of a table: its alignment is a class, where the parser would write a style."""
    token = tokens[at]
    alignment = str(token.attrGet("style") or "").partition(":")[2]
    return f'<{token.tag} class="{alignment}">' if alignment in ("left", "center", "right") else f"<{token.tag}>"


def _heading_open(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    """A heading of somebody's text is none of the page's: it would break the outline that a screen reader walks."""
    return f'<p class="heading {tokens[at].tag}">'


def _heading_close(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    return "</p>"


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802 - the parser's name for it
        return is_safe_link(url)


def _made() -> MarkdownIt:
    parser = _Parser("commonmark", {"html": False, "linkify": False, "highlight": _highlighted, "maxNesting": 20})
    parser.enable(["table", "strikethrough"])
    parser.disable(["html_block", "html_inline"])
    for name, rule in (
        ("link_open", _link_open),
        ("link_close", _link_close),
        ("image", _image),
        ("th_open", _cell_open),
        ("td_open", _cell_open),
        ("heading_open", _heading_open),
        ("heading_close", _heading_close),
    ):
        parser.add_render_rule(name, rule)
    return parser


_MARKDOWN = _made()
