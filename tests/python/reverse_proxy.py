"""A small reverse proxy, as people put one in front of the explorer.

    python reverse_proxy.py PORT TARGET [--host own|keep] [--tls CERT KEY] [--prefix /clip] [--forwarded]

serves 127.0.0.1:PORT (0: any that is free) and passes what it gets on to 127.0.0.1:TARGET. Like nginx it asks by
HTTP/1.0 and puts its target's name into Host unless told to keep the browser's; `--prefix` is cut off the path, as
jupyter-server-proxy does; `--forwarded` says in X-Forwarded-Host and X-Forwarded-Proto what the browser asked.
`--tunnel` passes bytes, as ssh -L and docker -p do. It prints its port.
"""

import argparse
import http.client
import http.server
import socket
import ssl
import threading


class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    options = None

    def answer(self):
        options = self.options
        if not self.path.startswith(options.prefix + "/"):
            self.send_error(404)
            return
        path = self.path[len(options.prefix):]
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if length else None
        headers = {name: value for name, value in self.headers.items()
                   if name.lower() not in ("connection", "host")}
        headers["Host"] = (self.headers["Host"] if options.host == "keep"
                           else f"127.0.0.1:{options.target}")
        headers["Connection"] = "close"
        if options.forwarded:
            headers["X-Forwarded-Host"] = self.headers["Host"]
            headers["X-Forwarded-Proto"] = "https" if options.tls else "http"
        connection = http.client.HTTPConnection("127.0.0.1", options.target, timeout=60)
        connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"
        try:
            connection.request(self.command, path, body, headers)
            answer = connection.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding"):
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            while piece := answer.read1(65536):
                self.wfile.write(piece)
                self.wfile.flush()
        except OSError:
            pass  # one of both has gone
        finally:
            connection.close()
            self.close_connection = True

    do_GET = do_POST = do_HEAD = do_DELETE = do_OPTIONS = answer

    def log_message(self, *arguments):
        pass


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        pass  # a browser that hangs up


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Tunnel:
    def __init__(self, port, target):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.server_address = self.listener.getsockname()
        self.target = target

    def serve_forever(self):
        try:
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=ends, daemon=True).start()
        except OSError:
            pass  # shut down

    def shutdown(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def made(port, target, host="own", tls=None, prefix="", forwarded=False, tunnel=False):
    """A server with serve_forever() and shutdown(); server_address[1] is its port."""
    if tunnel:
        return Tunnel(port, target)
    options = argparse.Namespace(target=target, host=host, tls=tls, prefix=prefix,
                                 forwarded=forwarded)
    server = Quiet(("127.0.0.1", port), type("Handler", (Proxy,), {"options": options}))
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("target", type=int)
    parser.add_argument("--host", choices=["own", "keep"], default="own")
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--prefix", default="")
    parser.add_argument("--forwarded", action="store_true")
    parser.add_argument("--tunnel", action="store_true")
    server = made(**vars(parser.parse_args()))
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
