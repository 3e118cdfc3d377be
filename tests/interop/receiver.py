"""The end of an app at which it is told that sessions have ended."""

import http.server
import threading
import time
import urllib.parse

import processes


class Receiver:
    """Listens on a free port; `told` has the logout tokens and when each came."""

    def __init__(self, stack):
        port = processes.free_port()
        self.address = f"http://localhost:{port}/told"
        self.told = []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.server_close)
        stack.callback(server.shutdown)

    def keep(self, body):
        """Takes what was posted (OIDC Back-Channel Logout §2.5)."""
        [token] = urllib.parse.parse_qs(body, strict_parsing=True).pop("logout_token")
        self.told.append((time.time(), token))


def _handler(receiver):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers.get("content-length", 0))
            receiver.keep(self.rfile.read(length).decode())
            self.send_response_only(200)
            self.send_header("cache-control", "no-store")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    return Handler
