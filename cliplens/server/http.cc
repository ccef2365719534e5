#include "cliplens/server/http.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include <httplib.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace cliplens::server {
namespace {

using Clock = std::chrono::steady_clock;

Clock::duration Seconds(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

// The connections that are open, so that they can be closed from outside.
class Connections {
 public:
  struct Entry {
    int socket = -1;
    bool waiting = true;  // for its client
    Clock::time_point since = Clock::now();
  };
  using Handle = std::list<Entry>::iterator;

  Handle Add(int socket) {
    const std::scoped_lock lock(mutex_);
    entries_.push_back({.socket = socket});
    if (stopping_) ::shutdown(socket, SHUT_RDWR);
    return std::prev(entries_.end());
  }
  void Remove(Handle entry) {
    const std::scoped_lock lock(mutex_);
    ::shutdown(entry->socket, SHUT_RDWR);
    ::close(entry->socket);
    entries_.erase(entry);
    empty_.notify_all();
  }
  void SetWaiting(Handle entry, bool waiting) {
    const std::scoped_lock lock(mutex_);
    entry->waiting = waiting;
    entry->since = Clock::now();
  }
  // Closes the one that has waited longest for its client.
  void DropOldestWaiting() {
    const std::scoped_lock lock(mutex_);
    Entry* oldest = nullptr;
    for (Entry& entry : entries_) {
      if (entry.waiting && (oldest == nullptr || entry.since < oldest->since)) oldest = &entry;
    }
    if (oldest == nullptr) return;
    oldest->waiting = false;
    ::shutdown(oldest->socket, SHUT_RDWR);
  }
  // Closes those that wait for their clients, and after `seconds` the others.
  void Stop(double seconds) {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    for (const Entry& entry : entries_) {
      if (entry.waiting) ::shutdown(entry.socket, SHUT_RDWR);
    }
    empty_.wait_for(lock, Seconds(seconds), [&] { return entries_.empty(); });
    for (const Entry& entry : entries_) ::shutdown(entry.socket, SHUT_RDWR);
  }

 private:
  std::mutex mutex_;
  std::condition_variable empty_;
  std::list<Entry> entries_;
  bool stopping_ = false;
};

// Threads that are made as connections come, up to a number; above it one connection is dropped.
class Workers : public httplib::TaskQueue {
 public:
  Workers(std::size_t most, Connections& connections) : most_(most), connections_(connections) {}

  void enqueue(std::function<void()> work) override {
    bool full = false;
    {
      const std::scoped_lock lock(mutex_);
      waiting_.push_back(std::move(work));
      if (waiting_.size() > idle_) {
        if (threads_.size() < most_) {
          threads_.emplace_back([this] { Run(); });
        } else {
          full = true;
        }
      }
    }
    news_.notify_one();
    if (full) connections_.DropOldestWaiting();
  }

  void shutdown() override {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    news_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    while (true) {
      ++idle_;
      news_.wait(lock, [&] { return !waiting_.empty() || stopping_; });
      --idle_;
      if (waiting_.empty()) return;
      const std::function<void()> work = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      work();
      lock.lock();
    }
  }

  std::size_t most_;
  Connections& connections_;
  std::mutex mutex_;
  std::condition_variable news_;
  std::list<std::function<void()>> waiting_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool stopping_ = false;
};

// A socket with limits of time and, while a head is read, of bytes.
class LimitedStream : public httplib::Stream {
 public:
  LimitedStream(int socket, const HttpOptions& options) : socket_(socket), options_(options) {}

  // Waits for the first byte of a request; false when none comes.
  bool WaitForRequest(double seconds) {
    deadline_ = Clock::now() + Seconds(seconds);
    return begin_ < end_ || Fill();
  }
  void BeginHead() {
    deadline_ = Clock::now() + Seconds(options_.head_seconds);
    head_left_ = options_.head_bytes;
    in_head_ = true;
  }
  void BeginBody() {
    deadline_ = Clock::now() + Seconds(options_.body_seconds);
    in_head_ = false;
  }

  // Reads what a client still sends of a request that was refused. If a socket is closed with
  // unread bytes, the client may lose the answer.
  void Drain() {
    ::shutdown(socket_, SHUT_WR);
    in_head_ = false;
    deadline_ = Clock::now() + Seconds(options_.drain_seconds);
    while (Fill()) {
    }
  }

  bool is_readable() const override { return begin_ < end_ || Ready(POLLIN, Seconds(0)); }
  bool is_writable() const override {
    // The socket of a client that has gone is readable, with nothing to read.
    char byte = 0;
    if (Ready(POLLIN, Seconds(0)) && ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
      return false;
    }
    return Ready(POLLOUT, Seconds(options_.idle_seconds));
  }

  ssize_t read(char* out, std::size_t size) override {
    if (in_head_ && head_left_ <= 0) return -1;
    if (begin_ == end_ && !Fill()) return -1;
    const std::size_t count = std::min(size, end_ - begin_);
    std::memcpy(out, buffer_.data() + begin_, count);
    begin_ += count;
    if (in_head_) head_left_ -= static_cast<Index>(count);
    return static_cast<ssize_t>(count);
  }

  ssize_t write(const char* data, std::size_t size) override {
    std::size_t written = 0;
    while (written < size) {
      if (!Ready(POLLOUT, Seconds(options_.idle_seconds))) return -1;
      const ssize_t count =
          ::send(socket_, data + written, size - written, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (count <= 0) return -1;
      written += ToSize(count);
    }
    return static_cast<ssize_t>(size);
  }

  void get_remote_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  void get_local_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  socket_t socket() const override { return socket_; }

 private:
  bool Fill() {
    while (true) {
      const auto left = deadline_ - Clock::now();
      if (left <= Clock::duration::zero() || !Ready(POLLIN, left)) return false;
      const ssize_t count = ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      begin_ = 0;
      end_ = count > 0 ? ToSize(count) : 0;
      return count > 0;
    }
  }
  bool Ready(short events, Clock::duration time) const {
    pollfd poll{.fd = socket_, .events = events, .revents = 0};
    const auto deadline = Clock::now() + time;
    while (true) {
      const auto left = std::max(deadline - Clock::now(), Clock::duration::zero());
      const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
      const int ready =
          ::poll(&poll, 1, static_cast<int>(milliseconds) + (left.count() > 0 ? 1 : 0));
      if (ready >= 0 || errno != EINTR) return ready > 0;
    }
  }

  int socket_;
  const HttpOptions& options_;
  Clock::time_point deadline_;
  bool in_head_ = true;
  Index head_left_ = 0;
  std::array<char, 16 * 1024> buffer_{};
  std::size_t begin_ = 0, end_ = 0;
};

Request RequestOf(const httplib::Request& in) {
  Request request;
  request.method = in.method;
  request.path = in.path;
  for (const auto& [name, value] : in.params) request.query.emplace(name, value);
  for (const auto& [name, value] : in.headers) {
    std::string lower = name;
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) {
      return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    });
    request.headers.emplace(std::move(lower), value);
  }
  return request;
}

bool HasBody(const httplib::Request& request) {
  return request.method == "POST" || request.method == "PUT" || request.method == "PATCH" ||
         request.method == "PRI";
}

// What is wrong with how the body is sent.
std::optional<Response> RefuseBody(const Request& head, server::Handler& handler) {
  if (head.method != "POST") {
    return ErrorResponse(405, "invalid-argument", "only GET, HEAD, POST and DELETE are answered");
  }
  if (!head.header("transfer-encoding").empty() || head.header("content-length").empty()) {
    return ErrorResponse(411, "invalid-argument", "the request must state its Content-Length");
  }
  if (!head.header("content-encoding").empty() ||
      head.header("content-type").starts_with("multipart/") ||
      head.header("content-type").starts_with("application/x-www-form-urlencoded")) {
    return ErrorResponse(415, "unsupported",
                         "send the body as it is: no content encoding, no form");
  }
  const std::string length(head.header("content-length"));
  const Index limit = handler.BodyLimit(head);
  if (length.size() > 15 || length.find_first_not_of("0123456789") != std::string::npos ||
      std::stoll(length) > limit) {
    return ErrorResponse(413, "exhausted",
                         fmt::format("the body has {} bytes, at most {} are taken", length, limit));
  }
  return std::nullopt;
}

}  // namespace

class HttpServer::Impl : public httplib::Server {
 public:
  Impl(HttpOptions options, server::Handler& handler)
      : options_(std::move(options)), handler_(handler) {
    new_task_queue = [this] { return new Workers(ToSize(options_.connections), connections_); };
    set_tcp_nodelay(true);
    // One process an address; a port that was just freed can be used again at once.
    set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    set_pre_routing_handler(
        [this](const httplib::Request& in, httplib::Response& out) { return Route(in, out); });
    Post(".*", [this](const httplib::Request& in, httplib::Response& out) {
      Request request = RequestOf(in);
      request.body = in.body;
      Answer(request, out);
    });
    set_error_handler([](const httplib::Request& /*in*/, httplib::Response& out) {
      if (!out.body.empty() || out.has_header("Content-Type")) return;
      const Response response =
          ErrorResponse(out.status, "invalid-argument", "this is no request that can be answered");
      out.set_content(response.body, response.content_type);
    });
    if (options_.port == 0) {
      port_ = bind_to_any_port(options_.host);
    } else if (bind_to_port(options_.host, options_.port)) {
      port_ = options_.port;
    }
    if (port_ <= 0) {
      throw Error(ErrorCode::kPrecondition,
                  "{}:{} cannot be listened on: {}; name another --port or --listen", options_.host,
                  options_.port, std::strerror(errno));
    }
  }

  int port() const { return port_; }
  bool stopping() const { return stopping_; }

  void Listen() {
    if (!stopping_) listen_after_bind();
    is_listening_ = false;
  }

  void StopAll() {
    if (stopping_.exchange(true)) return;
    // The accepting loop may not have begun; it sees stopping_ or this.
    while (!is_running() && is_listening_) std::this_thread::sleep_for(Seconds(.001));
    stop();
    connections_.Stop(options_.stop_seconds);
  }
  void WillListen() { is_listening_ = true; }

 private:
  bool process_and_close_socket(socket_t socket) override {
    const Connections::Handle entry = connections_.Add(socket);
    LimitedStream stream(socket, options_);
    bool served = false;
    double wait = options_.head_seconds;
    while (!stopping_ && stream.WaitForRequest(wait)) {
      stream.BeginHead();
      bool closed = false;
      close_ = false;
      served = process_request(stream, /*close_connection=*/false, closed,
                               [&](httplib::Request& request) {
                                 stream.BeginBody();
                                 request.ranges.clear();
                                 // On a local connection compression takes longer than it saves.
                                 request.headers.erase("Accept-Encoding");
                                 busy_ = entry;
                                 if (!HasBody(request)) connections_.SetWaiting(entry, false);
                               });
      connections_.SetWaiting(entry, true);
      if (close_) stream.Drain();
      if (!served || closed || close_) break;
      wait = options_.idle_seconds;
    }
    connections_.Remove(entry);
    return served;
  }

  // Before the body is read. Requests without one are answered here.
  HandlerResponse Route(const httplib::Request& in, httplib::Response& out) {
    Request head = RequestOf(in);
    std::optional<Response> refused;
    try {
      refused = handler_.Refuse(head);
      if (!refused && HasBody(in)) refused = RefuseBody(head, handler_);
    } catch (const std::exception& error) {
      refused = ErrorResponse(500, "internal", error.what());
    }
    if (refused) {
      // What is left of the request is not read, so nothing can follow it.
      if (HasBody(in)) {
        close_ = true;
        refused->headers.emplace_back("Connection", "close");
      }
      Fill(*std::move(refused), out);
      return HandlerResponse::Handled;
    }
    if (HasBody(in)) return HandlerResponse::Unhandled;
    // A body that such a request has all the same is not read.
    close_ = close_ || !head.header("content-length").empty() ||
             !head.header("transfer-encoding").empty();
    Answer(head, out);
    return HandlerResponse::Handled;
  }

  void Answer(const Request& request, httplib::Response& out) {
    connections_.SetWaiting(busy_, false);
    try {
      Fill(handler_.Handle(request), out);
    } catch (const std::exception& error) {
      Fill(ErrorResponse(500, "internal", error.what()), out);
    }
  }

  void Fill(Response response, httplib::Response& out) {
    out.status = response.status;
    for (const auto& [name, value] : response.headers) out.set_header(name, value);
    if (!response.stream) {
      out.set_content(response.body, response.content_type);
      return;
    }
    out.set_chunked_content_provider(
        response.content_type,
        [this, stream = std::move(response.stream)](std::size_t, httplib::DataSink& sink) {
          const Writer write = [&](std::string_view piece) {
            return sink.is_writable() && sink.write(piece.data(), piece.size());
          };
          if (!stopping_ && stream(write)) return sink.is_writable();
          sink.done();
          return true;
        });
  }

  HttpOptions options_;
  server::Handler& handler_;
  Connections connections_;
  int port_ = -1;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> is_listening_ = false;
  // Of the connection that this thread serves.
  static thread_local bool close_;
  static thread_local Connections::Handle busy_;
};

thread_local bool HttpServer::Impl::close_ = false;
thread_local Connections::Handle HttpServer::Impl::busy_ = {};

HttpServer::HttpServer(HttpOptions options, server::Handler& handler)
    : impl_(std::make_unique<Impl>(std::move(options), handler)) {}
HttpServer::~HttpServer() { Stop(); }

int HttpServer::port() const { return impl_->port(); }

void HttpServer::Listen() {
  impl_->WillListen();
  impl_->Listen();
}

void HttpServer::Stop() { impl_->StopAll(); }

bool HttpServer::stopping() const { return impl_->stopping(); }

}  // namespace cliplens::server
