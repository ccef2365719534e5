"""The explorer, wherever it is opened: behind proxies, through tunnels and container ports, under a path.

Each set-up is asked as a browser at its address would ask. web/tests/reach.mjs opens some of them in Chromium.
"""

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

import pytest

import reverse_proxy
from test_explorer import API, BIRDS, PROGRAM, TEXTS, Server, run

SANITIZED = b"__asan_init" in Path(PROGRAM).read_bytes() if Path(PROGRAM).exists() else False

SECRET = "0123456789abcdef-XYZ"
NAME = "clip.example"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reach")
    run("decompose", "pictureworld", "--images", BIRDS, "--out", folder / "pictureworld")
    return folder


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    files = [str(folder / "cert.pem"), str(folder / "key.pem")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", f"/CN={NAME}", "-out", files[0], "-keyout", files[1]],
                   check=True, capture_output=True)
    return files


@pytest.fixture(scope="module", params=["without a token", "with a token"])
def server(request, place):
    """An explorer that is reached by NAME, and in the second round as one in a container: it
    listens on every address."""
    token = [] if request.param == "without a token" else ["--token", SECRET, "--listen", "0.0.0.0"]
    s = Server(place / "pictureworld", "--texts", TEXTS / "phrases.txt", "--properties",
               TEXTS / "properties.txt", "--host-name", NAME, *token)
    s.token = SECRET if token else None
    yield s
    assert s.stop() == 0


# What the browser's address names, and how the proxy passes it on.
SETUPS = {
    "HTTPS proxy that keeps Host": ("https", NAME, {"host": "keep", "tls": True}),
    "HTTPS proxy that puts its own Host": ("https", NAME, {"tls": True}),
    "tunnel or container port": ("http", "localhost", {"tunnel": True}),
    "under a path, Host kept": ("http", "localhost", {"host": "keep", "prefix": "/user/me/clip"}),
    "under a path, Host the proxy's": ("http", "localhost", {"prefix": "/clip"}),
}


class Browser:
    """Asks as a browser does that has opened `scheme`://`name`:port/prefix/."""

    def __init__(self, scheme, name, port, prefix):
        self.scheme, self.name, self.port = scheme, name, port
        self.page = f"{scheme}://{name}:{port}{prefix}/"
        self.origin = f"{scheme}://{name}:{port}"
        self.cookies = {}  # by name: (path, value)

    def ask(self, method, address, body=None, origin=None, site="same-origin", host=None):
        url = urllib.parse.urlsplit(urllib.parse.urljoin(self.page, address))
        assert (url.scheme, url.hostname, url.port) == (self.scheme, self.name, self.port)
        headers = {"Host": host or f"{self.name}:{self.port}", "Sec-Fetch-Site": site}
        if method == "POST" or origin:
            headers["Origin"] = origin or self.origin
        if body is not None:
            headers["Content-Type"] = "application/json"
        cookies = [f"{name}={value}" for name, (path, value) in self.cookies.items()
                   if url.path == path or url.path.startswith(path.rstrip("/") + "/")]
        if cookies:
            headers["Cookie"] = "; ".join(cookies)
        if self.scheme == "https":
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60,
                                                     context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            target = url.path + ("?" + url.query if url.query else "")
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def take_cookie(self, answer, address):
        name, value = answer.headers["Set-Cookie"].split(";")[0].split("=")
        assert "path" not in answer.headers["Set-Cookie"].lower()
        path = urllib.parse.urlsplit(urllib.parse.urljoin(self.page, address)).path
        self.cookies[name] = (path[:path.rindex("/")] or "/", value)
        return name


@pytest.fixture(params=SETUPS)
def browser(request, server, certificate):
    scheme, name, options = SETUPS[request.param]
    options = dict(options)
    if options.get("tls"):
        options["tls"] = certificate
    proxy = reverse_proxy.made(0, server.port, **options)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    made = Browser(scheme, name, proxy.server_address[1], options.get("prefix", ""))
    made.keeps_host = options.get("host") == "keep" or "tunnel" in options
    yield made
    proxy.shutdown()


def signed_in(browser, server):
    if server.token:
        answer, _ = browser.ask("GET", "?token=" + server.token, site="none")
        assert answer.status == 303
        assert urllib.parse.urljoin(browser.page + "?token=x",
                                    answer.headers["Location"]) == browser.page
        browser.take_cookie(answer, "?token=x")
    return browser


def test_the_page_and_all_that_it_asks_for_come(browser, server):
    signed_in(browser, server)
    answer, page = browser.ask("GET", "", site="none")
    assert answer.status == 200, page
    named = re.findall(r'(?:src|href)="([^"]+)"', page.decode())
    assert len(named) == 3
    for address in named:
        answer, body = browser.ask("GET", address, origin=browser.origin)
        assert answer.status == 200, (address, body)
    answer, body = browser.ask("GET", API[1:] + "/sources")
    assert answer.status == 200 and json.loads(body)["sources"], body
    search = {"terms": [{"query": {"item": 3}}], "count": 2}
    answer, body = browser.ask("POST", API[1:] + "/sources/s0/search", search)
    assert answer.status == 200 and len(json.loads(body)["results"]) == 2, body
    # A job and the stream of its events, which comes as it is made.
    answer, body = browser.ask("POST", API[1:] + "/sources/s0/labels", {})
    assert answer.status == 202, body
    job = json.loads(body)["job"]
    answer, _ = browser.ask("DELETE", API[1:] + f"/jobs/{job}", origin=browser.origin)
    assert answer.status == 202
    answer, body = browser.ask("GET", API[1:] + f"/jobs/{job}/events")
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert re.search(rb"event: (cancelled|done)\ndata: ", body), body


def test_other_sites_get_no_answer_there_either(browser, server):
    signed_in(browser, server)
    search = {"terms": [{"query": {"item": 3}}], "count": 2}

    def status(**how):
        return browser.ask("POST", API[1:] + "/sources/s0/search", search, **how)[0].status

    assert status() == 200
    for origin in ("https://evil.example", f"https://{NAME}.evil.example", "null",
                   f"http://evil.example:{browser.port}"):
        for site in ("cross-site", "same-site", "same-origin", "none"):
            assert status(origin=origin, site=site) == 403, (origin, site)
    assert status(site="cross-site") == 403
    assert status(site="same-site") == 403
    # Another port of this machine: a page of another program.
    assert status(origin="http://localhost:5000", site="same-site") == 403
    browser.cookies = {"cliplens_token_1": ("/", SECRET)}
    assert status() == (401 if server.token else 200)


def test_names_that_are_pointed_here_get_no_answer(browser, server):
    # A proxy that puts its own Host must know its own names; with the others the server does.
    if browser.keeps_host:
        for name in ("evil.example", f"evil.example:{browser.port}", f"{NAME}.evil.example", "x",
                     "10.1.2.3.evil.example", f"localhost:{browser.port}@evil.example"):
            answer, body = browser.ask("GET", API[1:] + "/sources", host=name)
            assert answer.status == 403 and b"--host-name" in body, (name, body)
            answer, body = browser.ask("GET", "?token=" + SECRET, host=name)
            assert answer.status == 403 and "Set-Cookie" not in answer.headers


def test_other_methods_are_named(server):
    auth = {"Authorization": f"Bearer {server.token}"} if server.token else {}
    for method, path, allowed in (
            ("PUT", "/sources", "GET, HEAD"), ("GET", "/sources/s0/search", "POST"),
            ("POST", "/jobs/j1", "GET, HEAD, DELETE"), ("PATCH", "/pictures", "POST"),
            ("OPTIONS", "/sources", "GET, HEAD")):
        answer, body = server.ask(method, API + path, headers=auth)
        assert answer.status == 405 and answer.headers["Allow"] == allowed, (method, path, body)
    answer, _ = server.ask("PUT", "/", headers=auth)
    assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD"
    answer, _ = server.ask("PUT", "/nothing", headers=auth)
    assert answer.status == 404 and "Allow" not in answer.headers


@pytest.mark.parametrize("behind_proxy", [True, False])
def test_forwarded_names_are_believed_if_told_to(place, certificate, behind_proxy):
    s = Server(place / "pictureworld", "--texts", TEXTS / "phrases.txt", "--token", SECRET,
               *(["--behind-proxy"] if behind_proxy else []))
    proxy = reverse_proxy.made(0, s.port, tls=certificate, forwarded=True)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        browser = Browser("https", "127.0.0.1", proxy.server_address[1], "")
        answer, _ = browser.ask("GET", "?token=" + SECRET, site="none")
        assert ("; Secure" in answer.headers["Set-Cookie"]) == behind_proxy
        port = browser.port if behind_proxy else s.port
        assert browser.take_cookie(answer, "?token=x") == f"cliplens_token_{port}"
        assert browser.ask("GET", API[1:] + "/sources")[0].status == 200
        # The name that was pointed at the proxy is seen only by who believes it.
        answer, _ = browser.ask("GET", API[1:] + "/sources", host="evil.example")
        assert answer.status == (403 if behind_proxy else 200)
        # Whoever reaches the server itself cannot make it believe anything.
        for name in ("127.0.0.1", "evil.example"):
            answer, _ = s.ask("GET", API + "/sources", headers={
                "Host": "evil.example", "X-Forwarded-Host": name,
                "Authorization": "Bearer " + SECRET})
            assert answer.status == 403
    finally:
        proxy.shutdown()
        assert s.stop() == 0


def test_what_is_no_name(place):
    for arguments in (["--listen", ""], ["--host-name", "https://clip.example"],
                      ["--host-name", "clip.example/path"], ["--host-name", ""]):
        result = run("serve", "pictureworld", *arguments, check=False)
        assert result.returncode == 2, (arguments, result.stderr)
        assert arguments[0].encode() in result.stderr and result.stderr.count(b"\n") == 1


def answers(server, data, seconds=3):
    """All that comes for these bytes until the server closes, and whether it did."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as s:
        s.sendall(data)
        got = b""
        try:
            while piece := s.recv(65536):
                got += piece
        except TimeoutError:
            return got, False
        except ConnectionResetError:
            pass
        return got, True


def test_what_follows_a_refused_request_is_no_request(server):
    host = f"Host: 127.0.0.1:{server.port}\r\n"
    hidden = f"GET {API}/sources HTTP/1.1\r\n{host}"
    if server.token:  # the browser's own cookie would go along
        hidden += f"Cookie: cliplens_token_{server.port}={server.token}\r\n"
    hidden += "Connection: close\r\n\r\n"
    assert b"cliplens.sources" in answers(server, hidden.encode())[0]
    length = f"Content-Length: {len(hidden)}\r\n"
    foreign = (f"Host: evil.example:{server.port}\r\nOrigin: http://evil.example\r\n"
               "Sec-Fetch-Site: cross-site\r\nContent-Type: text/plain\r\n")
    bodies = "POST /a HTTP/1.1\r\n"
    chunks = "0\r\n\r\n"
    forms = {
        "a long address": f"POST /{'a' * 9000} HTTP/1.1\r\n{foreign}{length}\r\n",
        "a bad range": f"GET / HTTP/1.1\r\n{foreign}Range: bytes=9-1\r\n{length}\r\n",
        "a bad range of its own": f"GET /app.js HTTP/1.1\r\n{host}Range: bytes=9-1\r\n{length}\r\n",
        "a bad line": f"POST /a b HTTP/1.1\r\n{foreign}{length}\r\n",
        "a bad version": f"POST /a HTTP/9.9\r\n{foreign}{length}\r\n",
        "a long header": f"{bodies}{foreign}X: {'a' * 9000}\r\n{length}\r\n",
        "a very long header": f"{bodies}{foreign}X: {'a' * 65536}\r\n{length}\r\n",
        "another host": f"{bodies}{foreign}{length}\r\n",
        "another method": f"PATCH / HTTP/1.1\r\n{host}{length}\r\n",
        "no such route": f"{bodies}{host}{length}\r\n",
        "CL.TE": f"{bodies}{host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}",
        "TE.CL": f"{bodies}{host}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n{chunks}",
        "TE alone": f"{bodies}{host}Transfer-Encoding: chunked\r\n\r\n{chunks}",
        "TE of a GET": f"GET / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n{chunks}",
        "TE hidden": f"{bodies}{host}Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n{chunks}",
        "two lengths": f"{bodies}{host}Content-Length: 0\r\n{length}\r\n",
        "two hosts": f"GET / HTTP/1.1\r\n{host}Host: evil.example\r\n\r\n",
        "two origins": f"GET / HTTP/1.1\r\n{host}Origin: http://evil.example\r\n"
                       f"Origin: http://127.0.0.1:{server.port}\r\n\r\n",
        "a folded length": f"{bodies}{host}X: a\r\n {length}\r\n",
        "a line feed alone": f"{bodies}{host}X: a\n{length}\r\n",
        "a blank before the colon": f"{bodies}{host}Content-Length : 3\r\n\r\n",
        "expectations": f"{bodies}{foreign}Expect: 100-continue\r\n{length}\r\n",
        "an upgrade": f"GET / HTTP/1.1\r\n{foreign}Connection: Upgrade\r\nUpgrade: h2c\r\n{length}\r\n",
    }
    for name, form in forms.items():
        got, closed = answers(server, (form + hidden).encode())
        assert got.count(b"HTTP/1.1 ") == 1 and int(got[9:12]) >= 400, (name, got[:300])
        assert b"cliplens.sources" not in got and closed, (name, got)
        assert b"\r\nConnection: close\r\n" in got, (name, got)


def test_bodies_of_all_requests_have_one_budget(server):
    """As many uploads as would take two gigabytes, none of them finished."""
    auth = f"Authorization: Bearer {server.token}\r\n" if server.token else ""
    head = (f"POST {API}/pictures HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{auth}"
            f"Content-Type: image/png\r\nContent-Length: {31 << 20}\r\n\r\n").encode()
    before = server.memory()
    body = b"x" * (30 << 20)
    refused, held = 0, []
    try:
        for _ in range(20):
            s = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            held.append(s)
            try:
                s.sendall(head + body)
            except OSError:
                pass
            s.settimeout(0.2)
            try:
                got = s.recv(4096)
                assert got.startswith(b"HTTP/1.1 503 ") and b"\r\nRetry-After: " in got
                refused += 1
            except TimeoutError:
                pass
            except ConnectionResetError:
                refused += 1
        assert refused >= 10
        # The address sanitizer keeps what was freed.
        assert SANITIZED or server.memory() < before + (320 << 20)
    finally:
        for s in held:
            s.close()
    deadline = time.monotonic() + 20
    while not SANITIZED and server.memory() > before + (100 << 20):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_an_archive_that_is_cut_off_does_not_end_it(tmp_path, place):
    archive = tmp_path / "birds.tar"
    shutil.copy(next(BIRDS.glob("*.tar")), archive)
    run("decompose", "pictureworld", "--images", archive, "--out", tmp_path / "store")
    s = Server(tmp_path / "store", "--texts", TEXTS / "phrases.txt")
    try:
        last = s.get("/sources/s0/items?count=1")["total"] - 1
        picture = f"{API}/sources/s0/items/{last}/picture"
        assert s.ask("GET", picture)[0].status == 200
        with open(archive, "r+b") as file:
            file.truncate(4096)
        answer, body = s.ask("GET", picture)
        assert answer.status == 422 and b"was it changed" in body
        assert s.get("/sources/s0/items?count=1")["total"] == last + 1
    finally:
        assert s.stop() == 0
