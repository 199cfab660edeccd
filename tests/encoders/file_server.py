"""HTTP server in a thread, with the faults of real ones."""

from __future__ import annotations

import http.server
import threading
import time
from dataclasses import dataclass, field


@dataclass
class FileServer:
    """Server of one file; attributes may change between requests.

    Attributes
    ----------
    content : bytes
        The file.
    tag, date : str
        ETag and Last-Modified; empty: not sent.
    ranges : bool
        Whether requests for a part are answered with that part.
    cuts : list of int
        Bytes after which the connection of the next requests is closed, one entry each.
    statuses : list of int
        Statuses of the next requests, one entry each; then 200 or 206.
    pause : float
        Seconds before the second half of each answer.
    """

    content: bytes
    tag: str = '"one"'
    date: str = ""
    ranges: bool = True
    kind: str = "application/octet-stream"
    chunked: bool = False
    sized: bool = True
    shift: int = 0
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    pause: float = 0.0
    silent: float = 0.0
    requests: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0

    def __enter__(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.close_connection = True
                outer.requests.append(dict(self.headers))
                outer.answer(self)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request, address):
                pass  # a client that went away

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *args):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/files/published.pth"

    def answer(self, handler):
        time.sleep(self.silent)
        status = self.statuses.pop(0) if self.statuses else 200
        if status != 200:
            handler.send_response(status)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        start = self._start(handler)
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        if start:
            first, last = start + self.shift, len(self.content) - 1
            handler.send_header("Content-Range", f"bytes {first}-{last}/{len(self.content)}")
        handler.send_header("Content-Type", self.kind)
        for name, value in (("ETag", self.tag), ("Last-Modified", self.date)):
            if value:
                handler.send_header(name, value)
        if self.chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        elif self.sized:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        self._send(handler, body, self.cuts.pop(0) if self.cuts else len(body))

    def _start(self, handler):
        asked = handler.headers.get("Range", "")
        known = handler.headers.get("If-Range") in (self.tag, self.date)
        return int(asked[6:-1]) if asked and self.ranges and known else 0

    def _send(self, handler, body, cut):
        half = min(cut, len(body)) // 2
        for piece in (body[:half], body[half:cut]):
            if self.chunked:
                handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            else:
                handler.wfile.write(piece)
            handler.wfile.flush()
            self.sent += len(piece)
            if piece is not body[half:cut]:
                time.sleep(self.pause)
        if self.chunked and cut >= len(body):
            handler.wfile.write(b"0\r\n\r\n")
