"""Plain HTML in the site's look: the log-in, and what is said where there is no page.

No NiceGUI page: that would keep a client in memory for everybody who asks.
"""

from __future__ import annotations

import html

from fastapi.responses import HTMLResponse

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - SmartMeter TMS</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; margin: 0; min-height: 100vh;
  display: grid; place-items: center; background: #eef2f7; color: #1a2330 }}
main {{ background: #fff; padding: min(2.2rem, 8vw); border-radius: 12px;
  width: min(24.4rem, 94vw); box-sizing: border-box; box-shadow: 0 2px 18px #0002;
  overflow-wrap: anywhere }}
h1 {{ font-size: 1.3rem; margin: 0 }} p {{ color: #56657a; margin: .2rem 0 1.2rem }}
label {{ display: block; margin: .8rem 0 .2rem; font-weight: 600; font-size: .9rem }}
input {{ width: 100%; box-sizing: border-box; padding: .6rem; font: inherit; color: inherit;
  border: 1px solid #b9c4d2; border-radius: 6px; background: #fff }}
button, a {{ display: block; box-sizing: border-box; margin-top: 1.4rem; width: 100%;
  padding: .7rem; font: inherit; font-weight: 600; border: 0; border-radius: 6px;
  background: #1565c0; color: #fff; cursor: pointer; text-align: center; text-decoration: none }}
.error {{ background: #fdecea; color: #8c1d13; padding: .6rem; border-radius: 6px }}
@media (prefers-color-scheme: dark) {{ body {{ background: #10161e; color: #e6ebf2 }}
  main {{ background: #1a222d }} input {{ background: #10161e; border-color: #41506a }}
  p {{ color: #9fb0c6 }} }}
</style></head><body><main><h1>SmartMeter TMS</h1>{main}</main></body></html>"""


def plain_page(title: str, main: str, status: int = 200) -> HTMLResponse:
    """Give a page; ``main`` is HTML."""
    return HTMLResponse(PAGE.format(title=title, main=main), status)


def nothing_there(title: str, text: str, status: int) -> HTMLResponse:
    """Say that something cannot be had, and lead back; both are text."""
    told, back = html.escape(text), '<a href="/">To the overview</a>'
    return plain_page(title, f'<p role="alert">{told}</p>{back}', status)
