"""A hub of models on this machine that speaks the routes of huggingface.co, and fails as asked.

    with Hub() as hub:
        hub.add("org/name", {"config.json": b"{}", "model.safetensors": bytes(1000)})
        subprocess.run([..., "pull", "hf:org/name"], env=dict(os.environ, HF_ENDPOINT=hub.url))

Files of 10,000 bytes and more, and those that end in .safetensors, .bin or .msgpack, lie in the
storage, as with Git LFS: another origin, to which the hub redirects. Routes:

    GET  /api/models/ORG/NAME/revision/REVISION    {"sha": ..., "siblings": [{"rfilename": ...}]}
    HEAD /ORG/NAME/resolve/COMMIT/FILE             ETag, X-Repo-Commit, X-Linked-ETag, X-Linked-Size
    GET  /ORG/NAME/resolve/COMMIT/FILE             the bytes, or a redirect to the storage
    GET  /ORG/NAME/FILE?signature=...              of the storage; knows ranges
"""

import hashlib
import http.server
import json
import threading
import urllib.parse

SIGNATURE = "signature=secret"


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Repository:
    def __init__(self, files, token=None, gated=False):
        self.files, self.token, self.gated = files, token, gated
        self.commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.revisions = {"main": self.commit, self.commit: self.commit}

    def is_large(self, name):
        return len(self.files[name]) >= 10_000 or name.endswith((".safetensors", ".bin", ".msgpack"))

    def etag(self, name):
        data = self.files[name]
        return hashlib.sha256(data).hexdigest() if self.is_large(name) else git_hash(data)


class Fault:
    """What happens to the next `times` requests whose method and path hold `where`.

    status: answer with it and `headers`; cut: close after so many bytes of the body; stall: wait
    so many seconds in the middle of the body; wrong: change a byte of the body; plain: no ranges;
    to: redirect there; changed: headers that are sent in place of the right ones (None: left out).
    """

    def __init__(self, where, times=1, status=None, headers=None, cut=None, stall=None, wrong=False,
                 plain=False, to=None, changed=None):
        self.where, self.left = where, times
        self.status, self.headers, self.cut, self.stall = status, headers or {}, cut, stall
        self.wrong, self.plain, self.to, self.changed = wrong, plain, to, changed or {}


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a client that went away


class Hub:
    def __init__(self):
        self.repositories, self.faults, self.requests = {}, [], []
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.servers = [self._serve(of_storage) for of_storage in (False, True)]
        self.url, self.storage = (f"http://127.0.0.1:{s.server_address[1]}" for s in self.servers)

    def _serve(self, of_storage):
        handler = type("Handler", (Handler,), {"hub": self, "of_storage": of_storage})
        server = Server(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def add(self, name, files, **options):
        self.repositories[name] = Repository(files, **options)
        return self.repositories[name]

    def fault(self, where, times=1, **what):
        self.faults.append(Fault(where, times, **what))

    def asked(self, part=""):
        """[(method, path, headers)] of the requests so far whose path holds `part`."""
        with self.lock:
            return [request for request in self.requests if part in request[1]]

    def next_fault(self, line):
        with self.lock:
            for fault in self.faults:
                if fault.left > 0 and fault.where in line:
                    fault.left -= 1
                    return fault
        return Fault("")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub, of_storage = None, False

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        where = "storage" if self.of_storage else "hub"
        with self.hub.lock:
            self.hub.requests.append((self.command, f"{where}:{self.path}", dict(self.headers)))
        self.fault = self.hub.next_fault(f"{self.command} {where}:{self.path}")
        if self.fault.status is not None:
            return self.send(self.fault.status, self.fault.headers)
        if self.fault.to is not None:
            return self.send(302, {"Location": self.fault.to})
        path, _, query = self.path.partition("?")
        parts = [urllib.parse.unquote(part) for part in path.strip("/").split("/")]
        if self.of_storage:
            if query != SIGNATURE:
                return self.send(403)
            return self.send_file(self.hub.repositories["/".join(parts[:2])].files[parts[2]], {})
        if parts[:2] == ["api", "models"] and len(parts) == 6 and parts[4] == "revision":
            return self.listing("/".join(parts[2:4]), parts[5])
        if len(parts) >= 5 and parts[2] == "resolve":
            return self.resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        return self.send(404)

    def open(self, name):
        """The repository, or None after an answer that refuses it."""
        repository = self.hub.repositories.get(name)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if repository is None:
            # Nobody is told whether a private one is there.
            self.send(404 if token else 401, {"X-Error-Code": "RepoNotFound"})
            return None
        if repository.token is not None and token != repository.token:
            gated = repository.gated
            self.send(403 if gated and token else 401,
                      {"X-Error-Code": "GatedRepo" if gated else "RepoNotFound"})
            return None
        return repository

    def listing(self, name, revision):
        if (repository := self.open(name)) is None:
            return
        commit = repository.revisions.get(revision)
        if commit is None:
            return self.send(404, {"X-Error-Code": "RevisionNotFound"})
        body = json.dumps({"id": name, "sha": commit, "private": repository.token is not None,
                           "siblings": [{"rfilename": file} for file in repository.files]})
        self.send_file(body.encode(), {"Content-Type": "application/json"})

    def resolve(self, name, revision, file):
        if (repository := self.open(name)) is None:
            return
        if repository.revisions.get(revision) is None or file not in repository.files:
            return self.send(404, {"X-Error-Code": "EntryNotFound"})
        data, etag = repository.files[file], repository.etag(file)
        headers = {"X-Repo-Commit": repository.commit}
        if not repository.is_large(file):
            return self.send_file(data, headers | {"ETag": f'"{etag}"'})
        self.send(302, headers | {
            "X-Linked-ETag": f'"{etag}"', "X-Linked-Size": str(len(data)), "ETag": '"of-a-page"',
            "Location": f"{self.hub.storage}/{name}/{urllib.parse.quote(file)}?{SIGNATURE}"})

    def send(self, status, headers=None, body=b""):
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {}) |
                            self.fault.changed).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_file(self, data, headers):
        fault, status, first = self.fault, 200, 0
        asked = self.headers.get("Range")
        if asked and not fault.plain:
            first = int(asked.removeprefix("bytes=").split("-")[0])
            if first >= len(data):
                return self.send(416, {"Content-Range": f"bytes */{len(data)}"})
            status = 206
            headers = headers | {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
        body = data[first:]
        if fault.wrong and self.command != "HEAD":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault.cut is None and fault.stall is None:
            return self.send(status, headers, body)
        half = fault.cut if fault.cut is not None else len(body) // 2
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers | fault.changed).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:half])
        self.wfile.flush()
        if fault.stall is not None:
            self.hub.stopped.wait(fault.stall)
        self.close_connection = True
