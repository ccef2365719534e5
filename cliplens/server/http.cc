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
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/span_body.hpp>
#include <boost/beast/http/write.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace cliplens::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr auto kPause = std::chrono::milliseconds(10);  // where the system gives nothing more
constexpr Index kFirstRoom = Index{64} << 10;           // for a body

Clock::duration Seconds(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

// Whether the system gives no more of what was asked for.
bool IsOfLimits(const beast::error_code& error) {
  return error == boost::system::errc::too_many_files_open ||
         error == boost::system::errc::too_many_files_open_in_system ||
         error == boost::system::errc::not_enough_memory;
}

int OpenSpare() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

// The connections that are open, so that they can be closed from outside.
class Connections {
 public:
  struct Entry {
    int socket = -1;
    bool waiting = true;  // for its client
    Clock::time_point since = Clock::now();
  };
  using Handle = std::list<Entry>::iterator;

  // Closes the socket if it throws.
  Handle Add(int socket) {
    const std::scoped_lock lock(mutex_);
    try {
      entries_.push_back({.socket = socket});
    } catch (...) {
      ::close(socket);
      throw;
    }
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
  // Closes the one that has waited longest for its client. Returns whether there was one.
  bool DropOldestWaiting() {
    const std::scoped_lock lock(mutex_);
    Entry* oldest = nullptr;
    for (Entry& entry : entries_) {
      if (entry.waiting && (oldest == nullptr || entry.since < oldest->since)) oldest = &entry;
    }
    if (oldest == nullptr) return false;
    oldest->waiting = false;
    ::shutdown(oldest->socket, SHUT_RDWR);
    return true;
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
class Workers {
 public:
  Workers(std::size_t most, Connections& connections) : most_(most), connections_(connections) {}
  ~Workers() { Stop(); }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Makes the first, without which nothing is ever answered. Throws std::system_error where the
  // system gives none.
  void Start() {
    threads_.emplace_back([this] { Run(); });
  }
  void Add(std::function<void()> work) {
    bool full = false;
    {
      const std::scoped_lock lock(mutex_);
      waiting_.push_back(std::move(work));
      if (waiting_.size() > idle_) full = threads_.size() >= most_ || !StartThread();
    }
    news_.notify_one();
    if (full) connections_.DropOldestWaiting();
  }

  // Returns when all work is done.
  void Stop() {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    news_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  bool StartThread() {
    try {
      threads_.emplace_back([this] { Run(); });
      return true;
    } catch (const std::system_error&) {
      return false;  // the system has no further one; those that are there do the work
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

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

// Bytes that requests share.
class Budget {
 public:
  explicit Budget(Index bytes) : left_(bytes) {}
  bool Take(Index bytes) {
    Index left = left_;
    while (left >= bytes) {
      if (left_.compare_exchange_weak(left, left - bytes)) return true;
    }
    return false;
  }
  void Give(Index bytes) { left_ += bytes; }

 private:
  std::atomic<Index> left_;
};

// One request's part of a budget.
class Share {
 public:
  explicit Share(Budget& budget) : budget_(budget) {}
  ~Share() { budget_.Give(bytes_); }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;
  bool Take(Index bytes) {
    if (!budget_.Take(bytes)) return false;
    bytes_ += bytes;
    return true;
  }
  void Give(Index bytes) {
    budget_.Give(bytes);
    bytes_ -= bytes;
  }

 private:
  Budget& budget_;
  Index bytes_ = 0;
};

// A socket with limits of time. Of Beast's and Asio's kinds of streams it is one that is written
// to.
class LimitedStream {
 public:
  LimitedStream(int socket, const HttpOptions& options) : socket_(socket), options_(options) {}

  // Until when Receive() waits.
  void SetTime(double seconds) { deadline_ = Clock::now() + Seconds(seconds); }

  // The next bytes from the client; empty when none come.
  std::string_view Receive() {
    while (true) {
      const auto left = deadline_ - Clock::now();
      if (left <= Clock::duration::zero() || !Ready(POLLIN, left)) return {};
      const ssize_t count = ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      return {buffer_.data(), count > 0 ? ToSize(count) : 0};
    }
  }

  // Reads what a client still sends of a request that was refused. If a socket is closed with
  // unread bytes, the client may lose the answer.
  void Drain() {
    ::shutdown(socket_, SHUT_WR);
    SetTime(options_.drain_seconds);
    while (!Receive().empty()) {
    }
  }

  // Whether the client is there. The socket of one that has gone is readable, with nothing to read.
  bool IsThere() const {
    char byte = 0;
    return !Ready(POLLIN, Seconds(0)) || ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
  }

  template <typename Buffers>
  std::size_t write_some(const Buffers& buffers, beast::error_code& error) {
    error = {};
    for (const asio::const_buffer buffer : beast::buffers_range_ref(buffers)) {
      if (buffer.size() > 0) return Send(buffer, error);
    }
    return 0;
  }
  template <typename Buffers>
  std::size_t write_some(const Buffers& buffers) {
    beast::error_code error;
    const std::size_t count = write_some(buffers, error);
    if (error) throw beast::system_error(error);
    return count;
  }

 private:
  std::size_t Send(const asio::const_buffer& buffer, beast::error_code& error) const {
    while (Ready(POLLOUT, Seconds(options_.idle_seconds))) {
      const ssize_t count =
          ::send(socket_, buffer.data(), buffer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (count <= 0) break;
      return ToSize(count);
    }
    error = asio::error::connection_aborted;
    return 0;
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
  std::array<char, 16 * 1024> buffer_{};
};

// What is wrong with the body that a request announces.
std::optional<Response> RefuseBody(const HeadReader& head, const Request& request,
                                   server::Handler& handler) {
  if (request.method == "POST" && !request.headers.contains("content-length")) {
    return ErrorResponse(411, "invalid-argument", "the request must state its Content-Length");
  }
  if (!request.header("content-encoding").empty() ||
      request.header("content-type").starts_with("multipart/") ||
      request.header("content-type").starts_with("application/x-www-form-urlencoded")) {
    return ErrorResponse(415, "unsupported",
                         "send the body as it is: no content encoding, no form");
  }
  if (head.body_bytes() == 0) return std::nullopt;
  const Index limit = handler.BodyLimit(request);
  if (head.body_bytes() <= limit) return std::nullopt;
  return ErrorResponse(
      413, "exhausted",
      fmt::format("the body has {} bytes, at most {} are taken", head.body_bytes(), limit));
}

// What one connection's requests need of the server.
struct Serving {
  const HttpOptions& options;
  server::Handler& handler;
  Connections& connections;
  Budget& bodies;
  const std::atomic<bool>& stopping;
};

// The requests of one connection, one after the other.
class Session {
 public:
  Session(const Serving& serving, int socket)
      : serving_(serving),
        stream_(socket, serving.options),
        place_(serving.connections.Add(socket)) {}
  ~Session() { serving_.connections.Remove(place_); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void Run() {
    double wait = serving_.options.head_seconds;
    while (!serving_.stopping && AnswerOne(wait)) wait = serving_.options.idle_seconds;
  }

 private:
  // Whether another request may follow. `wait`: seconds for the first byte.
  bool AnswerOne(double wait) {
    serving_.connections.SetWaiting(place_, true);
    stream_.SetTime(wait);
    if (ahead_.empty() && !ReadMore(ahead_)) return false;
    stream_.SetTime(serving_.options.head_seconds);
    HeadReader head(serving_.options.head);
    while (head.Read(ahead_) == HeadReader::kMore) {
      if (!ReadMore(ahead_)) return false;
    }
    keeps_ = false;
    is_head_ = head.problem() ? false : head.request().method == "HEAD";
    http_1_0_ = head.is_http_1_0();
    if (head.problem()) return Refuse(*head.problem());
    ahead_.erase(0, ToSize(head.size()));

    Request& request = head.request();
    // What is wrong with a body is told only to those who may ask.
    std::optional<Response> refused = serving_.handler.Refuse(request);
    if (!refused) refused = RefuseBody(head, request, serving_.handler);
    if (refused) return Refuse(*std::move(refused));
    Share memory(serving_.bodies);
    if (head.body_bytes() > 0) {
      if (head.wants_continue() && ahead_.empty() && !SendContinue()) return false;
      stream_.SetTime(serving_.options.body_seconds);
      bool has_room = true;
      if (!ReadBody(head.body_bytes(), request.body, memory, has_room)) {
        if (has_room) return false;
        Response busy = ErrorResponse(
            503, "exhausted", "the bodies of other requests take all memory; ask again later");
        busy.headers.emplace_back("Retry-After", "2");
        return Refuse(std::move(busy));
      }
    }
    serving_.connections.SetWaiting(place_, false);
    keeps_ = head.keep_alive();
    return Send(AnswerTo(request)) && keeps_;
  }

  Response AnswerTo(const Request& request) {
    try {
      return serving_.handler.Handle(request);
    } catch (const std::exception& error) {
      return ErrorResponse(ErrorFrom(error));
    }
  }

  bool ReadMore(std::string& text) {
    const std::string_view more = stream_.Receive();
    text += more;
    return !more.empty();
  }

  // Takes room as the bytes come, not as they are announced.
  bool ReadBody(Index bytes, std::string& body, Share& memory, bool& has_room) {
    Index room = 0;
    while (static_cast<Index>(body.size()) < bytes) {
      if (ahead_.empty() && !ReadMore(ahead_)) return false;
      const std::size_t count = std::min(ahead_.size(), ToSize(bytes) - body.size());
      if (static_cast<Index>(body.size() + count) > room) {
        const Index more = std::max(kFirstRoom, 2 * room);
        has_room = memory.Take(more);
        if (!has_room) return false;
        body.reserve(ToSize(more));
        memory.Give(room);
        room = more;
      }
      body.append(ahead_, 0, count);
      ahead_.erase(0, count);
    }
    return true;
  }

  bool SendContinue() {
    beast::error_code error;
    asio::write(stream_, asio::buffer(std::string_view("HTTP/1.1 100 Continue\r\n\r\n")), error);
    return !error;
  }

  // Nothing may follow a request that was not read to its end.
  bool Refuse(Response response) {
    if (Send(std::move(response))) {
      serving_.connections.SetWaiting(place_, true);
      stream_.Drain();
    }
    return false;
  }

  // Whether the client takes it.
  bool Send(Response response) {
    http::response<http::empty_body> head;
    head.version(http_1_0_ ? 10 : 11);
    head.result(static_cast<unsigned>(response.status));
    for (const auto& [name, value] : response.headers) head.insert(name, value);
    if (!response.content_type.empty()) head.set(http::field::content_type, response.content_type);
    if (response.stream) return SendStream(std::move(head), response.stream);
    head.keep_alive(keeps_);
    if (response.status != 304) head.content_length(response.body.size());
    beast::error_code error;
    http::response_serializer<http::empty_body> serializer(head);
    http::write_header(stream_, serializer, error);
    if (!error && !is_head_ && response.status != 304) {
      asio::write(stream_, asio::buffer(response.body), error);
    }
    return !error;
  }

  // In pieces; HTTP/1.0 has none, there the end of the connection is the end of the stream.
  bool SendStream(http::response<http::empty_body> head,
                  const std::function<bool(const Writer& write)>& stream) {
    keeps_ = keeps_ && !http_1_0_;
    head.keep_alive(keeps_);
    if (!http_1_0_) head.chunked(true);
    beast::error_code error;
    http::response_serializer<http::empty_body> serializer(head);
    http::write_header(stream_, serializer, error);
    if (error || is_head_) return !error;
    const Writer write = [&](std::string_view piece) {
      if (error || !stream_.IsThere()) return false;
      if (piece.empty()) return true;  // an empty chunk would be the last
      const asio::const_buffer buffer(piece.data(), piece.size());
      if (http_1_0_) {
        asio::write(stream_, asio::const_buffers_1(buffer), error);
      } else {
        asio::write(stream_, http::make_chunk(asio::const_buffers_1(buffer)), error);
      }
      return !error;
    };
    while (!serving_.stopping && stream(write)) {
    }
    if (!error && !http_1_0_) asio::write(stream_, http::make_chunk_last(), error);
    return !error && stream_.IsThere();
  }

  const Serving serving_;
  LimitedStream stream_;
  Connections::Handle place_;
  std::string ahead_;  // what came and is not read yet
  // Of the request that is answered.
  bool keeps_ = false;
  bool is_head_ = false;
  bool http_1_0_ = false;
};

}  // namespace

class HttpServer::Impl {
 public:
  Impl(HttpOptions options, server::Handler& handler)
      : options_(std::move(options)),
        handler_(handler),
        bodies_(options_.bodies_bytes),
        workers_(ToSize(options_.connections), connections_) {
    beast::error_code error = asio::error::invalid_argument;
    // No address would be taken for all of them.
    if (!options_.host.empty()) {
      tcp::resolver resolver(io_);
      const auto found =
          resolver.resolve(options_.host, std::to_string(options_.port),
                           tcp::resolver::passive | tcp::resolver::numeric_service, error);
      for (auto at = found.begin(); at != found.end(); ++at) {
        if (Bind(at->endpoint(), error)) break;
      }
    }
    if (IsOfLimits(error)) throw std::system_error(error);
    if (error) {
      throw Error(ErrorCode::kPrecondition,
                  "{}:{} cannot be listened on: {}; name another --port or --listen", options_.host,
                  options_.port, error.message());
    }
    port_ = acceptor_.local_endpoint().port();
    address_ = acceptor_.local_endpoint().address().to_string();
    spare_ = OpenSpare();
    if (spare_ < 0) throw std::system_error(errno, std::generic_category());
    workers_.Start();
  }
  ~Impl() {
    Stop();
    if (spare_ >= 0) ::close(spare_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  int port() const { return port_; }
  std::string address() const { return address_; }

  void Listen() {
    while (!stopping_) {
      try {
        Accept();
        io_.run();
      } catch (const std::bad_alloc&) {
        std::this_thread::sleep_for(kPause);
      }
    }
    beast::error_code ignored;
    acceptor_.close(ignored);
    workers_.Stop();
  }

  void Stop() {
    if (stopping_.exchange(true)) return;
    io_.stop();
    connections_.Stop(options_.stop_seconds);
  }

 private:
  bool Bind(const tcp::endpoint& endpoint, beast::error_code& error) {
    const auto good = [&] {
      if (acceptor_.open(endpoint.protocol(), error)) return false;
      // One process an address; a port that was just freed can be used again at once.
      if (acceptor_.set_option(tcp::acceptor::reuse_address(true), error)) return false;
      if (endpoint.address().is_v6() && acceptor_.set_option(asio::ip::v6_only(false), error)) {
        return false;
      }
      if (acceptor_.bind(endpoint, error)) return false;
      return !acceptor_.listen(asio::socket_base::max_listen_connections, error);
    };
    if (good()) return true;
    beast::error_code ignored;
    acceptor_.close(ignored);
    return false;
  }

  void Accept() {
    acceptor_.async_accept([this](const beast::error_code& error, tcp::socket socket) {
      if (error == asio::error::operation_aborted) return;
      beast::error_code ignored;
      if (error) {
        // No descriptor is left, for one: those that wait for their clients give theirs.
        if (!connections_.DropOldestWaiting()) TurnAway();
        std::this_thread::sleep_for(kPause);
      } else {
        socket.set_option(tcp::no_delay(true), ignored);
        Serve(socket.release());
      }
      Accept();
    });
  }

  // Says that there is no descriptor to the client that comes next, on the one that is kept for
  // this; else it would wait for as long as none is free.
  void TurnAway() {
    constexpr std::string_view kAnswer =
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\n"
        "Connection: close\r\n\r\n";
    if (spare_ >= 0) ::close(std::exchange(spare_, -1));
    const int socket = ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC);
    if (socket >= 0) {
      (void)::send(socket, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      ::shutdown(socket, SHUT_WR);
      // A socket that is closed with unread bytes may take the answer with it.
      pollfd poll{.fd = socket, .events = POLLIN, .revents = 0};
      std::array<char, 4096> unread;
      if (::poll(&poll, 1, 100) > 0) {
        (void)::recv(socket, unread.data(), unread.size(), MSG_DONTWAIT);
      }
      ::close(socket);
    }
    spare_ = OpenSpare();
  }

  void Serve(int socket) {
    try {
      workers_.Add([this, socket] {
        try {
          Session({options_, handler_, connections_, bodies_, stopping_}, socket).Run();
        } catch (const std::exception&) {
          // No memory for its next step: the connection is closed, the others go on.
        }
      });
    } catch (const std::bad_alloc&) {
      ::close(socket);
    }
  }

  HttpOptions options_;
  server::Handler& handler_;
  Connections connections_;
  Budget bodies_;
  Workers workers_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  int port_ = -1;
  std::string address_;
  int spare_ = -1;  // a descriptor for TurnAway
  std::atomic<bool> stopping_ = false;
};

HttpServer::HttpServer(HttpOptions options, server::Handler& handler) {
  try {
    impl_ = std::make_unique<Impl>(std::move(options), handler);
  } catch (const boost::system::system_error& error) {
    throw std::system_error(error.code(), "the server");
  }
}
HttpServer::~HttpServer() = default;

int HttpServer::port() const { return impl_->port(); }

std::string HttpServer::address() const { return impl_->address(); }

void HttpServer::Listen() { impl_->Listen(); }

void HttpServer::Stop() { impl_->Stop(); }

}  // namespace cliplens::server
