"""The recorded answers as the gateway translates them: `tests/corpus/emit.rs` writes them."""

import http.server
import os
import pathlib
import threading

ROOT = pathlib.Path(__file__).parents[2]
DIR = ROOT / os.environ.get("LLM_EMIT", "target/sdk-answers")


def groups() -> dict[tuple[str, str, str], list[pathlib.Path]]:
    """The files of each kind, protocol of the upstream and protocol of the caller."""
    found = {}
    for path in sorted(path for path in DIR.rglob("*") if path.is_file()):
        *kind, source, target = path.parent.relative_to(DIR).parts
        found.setdefault(("/".join(kind), source, target), []).append(path)
    return found


class Upstream:
    """Answers every request with the same bytes."""

    def __init__(self) -> None:
        upstream = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # head and body in one packet

            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(upstream.status)
                self.send_header("content-type", upstream.kind)
                self.send_header("content-length", str(len(upstream.body)))
                self.end_headers()
                self.wfile.write(upstream.body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answers(self, body: bytes, status: int = 200, stream: bool = False) -> None:
        self.body, self.status = body, status
        self.kind = "text/event-stream" if stream else "application/json"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
