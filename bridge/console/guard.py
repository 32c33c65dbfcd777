"""Access control of the console: who may send requests, and what a browser may do with the answers.

Pages of other programs run in the same browser, and their host names may resolve to 127.0.0.1 (DNS
rebinding). So a request must name this host and port, and carry the token, either in the cookie that the
address printed at the start has set, or as a bearer. If a page made the request, it must be the console's
own. Since a browser sends the cookie by itself, a request that changes something by cookie must also name its
origin. All other requests get 403 and no further information.
"""

from __future__ import annotations

from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "connect-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Only the console's own scripts, styles and requests; no page may frame it."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
SAFE = frozenset({"GET", "HEAD"})


class Guard:
    """Passes permitted requests to `app`, and answers 403 to all others.

    Args:
        app: the application to protect.
        token: the secret.
        port: of the console, on 127.0.0.1.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        self._origins = frozenset(f"http://{host}" for host in self._hosts)
        self._cookie = f"airband-console-{port}"  # cookies are shared by all ports of a host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection, by ASGI 3."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        if scope["type"] != "http" or not self._comes_from_here(headers):
            await self._refuse(scope, receive, send_guarded)
        elif self._is_invited(scope):
            entry = RedirectResponse("/", status_code=303)  # removes the token from address bar and history
            entry.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
            await entry(scope, receive, send_guarded)
        elif self._has_bearer(headers) or self._has_cookie(scope["method"], headers):
            await self._app(scope, receive, send_guarded)
        else:
            await self._refuse(scope, receive, send_guarded)

    def _comes_from_here(self, headers: Headers) -> bool:
        """Whether the request names this host, and was not made by a page of another origin."""
        if headers.getlist("host") != [headers.get("host")] or headers.get("host") not in self._hosts:
            return False
        return headers.get("origin") in (None, *self._origins)

    def _is_invited(self, scope: Scope) -> bool:
        """Whether this is the address that was printed at the start."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return scope["method"] == "GET" and scope["path"] == "/" and self._is_token(given)

    def _has_bearer(self, headers: Headers) -> bool:
        """Whether a script sent the token; a page of another origin needs a preflight, which is refused."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._is_token(bearer) and self._is_own_page(headers)

    def _has_cookie(self, method: str, headers: Headers) -> bool:
        """Whether the browser sent the cookie; a change must name its origin (see `_comes_from_here`)."""
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        if cookie is None or not self._is_token(cookie.value) or not self._is_own_page(headers):
            return False
        return method in SAFE or "origin" in headers

    @staticmethod
    def _is_own_page(headers: Headers) -> bool:
        """False for requests from pages on other ports, which SameSite takes for the same site."""
        return headers.get("sec-fetch-site", "none") in ("same-origin", "none")

    def _is_token(self, given: str) -> bool:
        return compare_digest(given.encode("utf-8", "replace"), self._token.encode())

    @staticmethod
    async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        await PlainTextResponse("forbidden\n", 403, {"connection": "close"})(scope, receive, send)
