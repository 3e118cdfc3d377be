"""A reverse proxy in front of several instances: round robin, or the one that was chosen."""

import http.client
import http.server
import itertools
import threading

import processes

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Proxy:
    """Listens on a free port; `chosen` pins the instance, `served` counts who answered."""

    def __init__(self, stack):
        self.port = processes.free_port()
        self.address = f"http://localhost:{self.port}"
        self.backends, self.chosen, self.served = [], None, []
        self._turn = itertools.count()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.server_close)
        stack.callback(server.shutdown)

    def next(self):
        """The port of the instance that answers the next request."""
        index = next(self._turn) % len(self.backends) if self.chosen is None else self.chosen
        self.served.append(index)
        return self.backends[index]


def _handler(proxy):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self):
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length) if length else None
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            upstream = http.client.HTTPConnection("127.0.0.1", proxy.next(), timeout=30)
            try:
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                self._answer(answer, answer.read())
            finally:
                upstream.close()

        def _answer(self, answer, content):
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _forward

        def log_message(self, *_):
            pass

    return Handler
