"""Starts the example proxy for a test, and asks it what its upstream saw."""

import json
import os
import pathlib
import re
import subprocess
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).parents[2]
BINARY = ROOT / os.environ.get("GATEWAY_BIN", "target/release/examples/proxy")
DEADLINE = 10.0


class Gateway:
    """A running example proxy; `GATEWAY_URL` names one that runs already."""

    def __init__(self, **settings: str) -> None:
        self.process = None
        if url := os.environ.get("GATEWAY_URL"):
            self.url = url.rstrip("/")
            return
        # Nothing of the caller's environment configures it, and no `.env` is near.
        env = {"PATH": os.environ.get("PATH", ""), "PORT": "0", "DEMO_PACE_MS": "0", **settings}
        self.process = subprocess.Popen(
            [BINARY], env=env, cwd=ROOT / "target", text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self.log: list[str] = []
        found = threading.Event()
        threading.Thread(target=self._read, args=(found,), daemon=True).start()
        assert found.wait(DEADLINE), "the proxy did not start:\n" + "".join(self.log)

    def _read(self, found: threading.Event) -> None:
        for line in self.process.stdout:
            self.log.append(line)
            if not found.is_set() and (url := re.search(r"listens on (http://127\.0\.0\.1:\d+)", line)):
                self.url = url[1]
                found.set()

    def get(self, path: str) -> dict:
        with urllib.request.urlopen(self.url + path, timeout=DEADLINE) as answer:
            return json.load(answer)

    def upstream_state(self) -> dict:
        """The counters of the embedded demo upstream."""
        return self.get("/demo/state")

    def wait_for_state(self, wanted) -> dict:
        """Waits until the demo's counters are as `wanted`."""
        end = time.monotonic() + DEADLINE
        while not wanted(state := self.upstream_state()):
            assert time.monotonic() < end, f"the upstream stays at {state}"
            time.sleep(0.02)
        return state

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            assert self.process.wait(DEADLINE + 5) == 0, "".join(self.log)
