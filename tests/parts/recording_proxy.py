"""Stands between an agent and a bridge, and notes which frames were sent and which the bridge said it has."""

import contextlib
import http.client
import http.server
import threading

import msgspec
import zstandard

from safetytwin.changes.trees import canonical_bytes
from safetytwin.changes.twin import Twin
from safetytwin.models.change import Frame


class Recording:
    """What went through: frames by (epoch, seq)."""

    def __init__(self):
        self.sent = {}
        self.acknowledged = set()
        self.refusals = []
        self._lock = threading.Lock()

    def note_sent(self, frames):
        with self._lock:
            for frame in frames:
                name = frame.epoch, frame.seq
                # The same frame may come as a change and, when the bridge asks for that, as a whole state.
                if name not in self.sent or frame.kind == "full":
                    self.sent[name] = frame

    def note_answer(self, frames, status, body):
        with self._lock:
            if status == 200:
                self.acknowledged |= {(frame.epoch, frame.seq) for frame in frames}
            else:
                self.refusals.append((status, body))

    def states(self):
        """Return the state of each frame that was sent, as canonical JSON, by (epoch, seq)."""
        states = {}
        twin = None
        for name in sorted(self.sent):
            frame = self.sent[name]
            if frame.kind == "full":
                twin = Twin(frame.state)
            else:
                assert (frame.epoch, frame.seq - 1) in states, f"a change was sent without what is before it: {name}"
                twin.apply(frame.change)
            states[name] = canonical_bytes(twin.tree())
        return states


@contextlib.contextmanager
def recording_proxy(bridge_port):
    """Run a proxy before the bridge of a port; give its URL and what it records."""
    recording = Recording()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            inflated = zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True).read()
            frames = msgspec.json.decode(inflated, type=list[Frame])
            recording.note_sent(frames)
            connection = http.client.HTTPConnection("127.0.0.1", bridge_port, timeout=30)
            try:
                headers = {name: self.headers[name] for name in ("Content-Type", "Content-Encoding")}
                connection.request("POST", self.path, body, headers)
                response = connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException):
                self.close_connection = True  # the bridge was killed: so does its connection end for the agent
                return
            finally:
                connection.close()
            recording.note_answer(frames, response.status, answer)
            with contextlib.suppress(OSError):  # the agent was killed: what was acknowledged stays acknowledged
                self.send_response(response.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, *arguments):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = False

        def handle_error(self, request, client_address):
            pass  # an agent that was killed in the middle of a request

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", recording
        finally:
            server.shutdown()
            thread.join()
