// HTTP on one address. Only http.cc and request_head.cc use Boost (Beast and Asio).
//
//   HttpServer server({.host = "127.0.0.1", .port = 0}, handler);
//   server.Listen();            // returns after Stop(), from another thread
//
// Limits keep clients from blocking the server: on the head of a request in bytes and seconds, on
// the body in bytes (`handler` gives the limit before any is read) and seconds, on the bodies of
// all requests together in bytes, on an answer in seconds without progress. Above `connections` the
// oldest that waits for its client is closed. A body must state its length, and is read as it is:
// no encodings, no forms. After an answer that is not Handle()'s the connection is closed, so what
// is left of a refused request is never taken for the next one.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cliplens/server/message.h"
#include "cliplens/server/request_head.h"

namespace cliplens::server {

// What answers. Called by several threads at once; must not throw.
class Handler {
 public:
  virtual ~Handler() = default;
  // Before the body is read: an answer for what is refused, or nothing.
  virtual std::optional<Response> Refuse(const Request& head) = 0;
  // Most bytes of this request's body.
  virtual Index BodyLimit(const Request& head) = 0;
  virtual Response Handle(const Request& request) = 0;
};

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 0;           // 0: any that is free
  int connections = 256;  // open at once
  double head_seconds = 10;
  double body_seconds = 60;
  double idle_seconds = 5;   // between requests, and of an answer without progress
  double drain_seconds = 2;  // that the rest of a refused request is read for
  double stop_seconds = 5;   // that running requests get at the end
  HeadLimits head = {};
  Index bodies_bytes = Index{256} << 20;  // of all requests that are read or answered
};

class HttpServer {
 public:
  // Binds. Throws Error(kPrecondition) when the port is taken and for an address that is not this
  // machine's.
  HttpServer(HttpOptions options, Handler& handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;
  // The number that is listened on: "127.0.0.1", "::".
  std::string address() const;
  // Serves until Stop.
  void Listen();
  // Takes no further connection, lets running requests end for `stop_seconds` and drops the rest.
  // May be called from any thread, and more than once.
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cliplens::server
