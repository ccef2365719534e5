#include "cliplens/server/http.h"

#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/expect_error.h"
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace cliplens::server {
namespace {

using Clock = std::chrono::steady_clock;

class Echo : public Handler {
 public:
  std::optional<Response> Refuse(const Request& head) override {
    if (head.path == "/refused") return ErrorResponse(403, "forbidden", "no");
    return std::nullopt;
  }
  Index BodyLimit(const Request& head) override {
    return head.path == "/large" ? 1'000'000 : 1'000;
  }
  Response Handle(const Request& request) override {
    {
      const std::scoped_lock lock(mutex_);
      handled_.push_back(request.path);
    }
    if (request.path == "/stream") {
      Response response{.content_type = "text/plain"};
      response.stream = [left = 3](const Writer& write) mutable {
        return write("piece ") && --left > 0;
      };
      return response;
    }
    if (request.path == "/throw") throw Error(ErrorCode::kInternal, "thrown");
    if (request.path == "/large") return {.body = std::to_string(request.body.size())};
    return {.content_type = "text/plain", .body = request.method + " " + request.body};
  }

  // The paths that were asked since the last call.
  std::vector<std::string> Handled() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(handled_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> handled_;
};

class Connection {
 public:
  explicit Connection(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Send(const std::string& text) const {
    EXPECT_EQ(::send(socket_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // As much as is taken before the server closes.
  void Push(const std::string& text) const {
    std::size_t sent = 0;
    ssize_t count = 0;
    while (sent < text.size() &&
           (count = ::send(socket_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL)) > 0) {
      sent += ToSize(count);
    }
  }
  // What comes next.
  std::string Some() const {
    std::string text(1 << 12, '\0');
    const ssize_t count = ::recv(socket_, text.data(), text.size(), 0);
    text.resize(count > 0 ? ToSize(count) : 0);
    return text;
  }
  // What comes until the server closes.
  std::string All() const {
    std::string text(1 << 16, '\0');
    std::size_t size = 0;
    ssize_t count = 0;
    while ((count = ::recv(socket_, text.data() + size, text.size() - size, 0)) > 0) {
      size += ToSize(count);
    }
    text.resize(size);
    return text;
  }

 private:
  int socket_;
};

class HttpTest : public testing::Test {
 protected:
  void SetUp() override {
    HttpOptions options;
    options.connections = 8;
    options.head_seconds = 0.5;
    options.body_seconds = body_seconds_;
    options.idle_seconds = 0.5;
    options.stop_seconds = 1;
    options.drain_seconds = 0.5;
    options.bodies_bytes = 600'000;
    server_ = std::make_unique<HttpServer>(options, echo_);
    thread_ = std::thread([this] { server_->Listen(); });
  }
  void TearDown() override {
    server_->Stop();
    thread_.join();
  }
  std::string Ask(const std::string& request) const {
    const Connection connection(server_->port());
    connection.Send(request);
    return connection.All();
  }

  double body_seconds_ = 0.5;
  Echo echo_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

class HttpBodiesTest : public HttpTest {
 protected:
  HttpBodiesTest() { body_seconds_ = 20; }
};

int Count(const std::string& text, const std::string& part) {
  int count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) {
    ++count;
  }
  return count;
}

TEST_F(HttpTest, AnswersOneAfterTheOther) {
  const std::string answers =
      Ask("GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: "
          "3\r\n\r\nabcGET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(Count(answers, "HTTP/1.1 200"), 3);
  EXPECT_NE(answers.find("POST abc"), std::string::npos);
}

TEST_F(HttpTest, StreamsInPieces) {
  EXPECT_EQ(Count(Ask("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"), "piece"), 3);
}

TEST_F(HttpTest, ThrownErrorsAreAnswers) {
  EXPECT_NE(Ask("GET /throw HTTP/1.1\r\nHost: x\r\n\r\n").find("HTTP/1.1 500"), std::string::npos);
}

TEST_F(HttpTest, WhatFollowsARefusedRequestIsNoRequest) {
  const std::string hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string length = "Content-Length: " + std::to_string(hidden.size()) + "\r\n";
  const std::string post = "POST /a HTTP/1.1\r\nHost: x\r\n";
  const std::vector<std::string> heads = {
      "POST /refused HTTP/1.1\r\nHost: x\r\n" + length + "\r\n",
      "GET /refused HTTP/1.1\r\nHost: x\r\n\r\n",
      post + "\r\n",  // no length
      post + "Content-Encoding: gzip\r\n" + length + "\r\n",
      post + "Content-Type: multipart/form-data; boundary=x\r\n" + length + "\r\n",
      post + "Content-Length: 1001\r\n\r\n",
      post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      post + "Content-Length: 0\r\n" + length + "\r\n",
      post + "Host: y\r\n" + length + "\r\n",
      post + "X: a\r\n " + length + "\r\n",
      post + "X: a\n" + length + "\r\n",
      post + "Content-Length : 0\r\n\r\n",
      "GET /" + std::string(9'000, 'a') + " HTTP/1.1\r\nHost: x\r\n" + length + "\r\n",
      post + "X: " + std::string(70'000, 'a') + "\r\n\r\n",
      "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
      "\r\n",
  };
  echo_.Handled();
  for (const std::string& head : heads) {
    const Connection connection(server_->port());
    connection.Push(head + hidden);
    const std::string answers = connection.All();
    EXPECT_EQ(Count(answers, "HTTP/1.1 "), 1) << head.substr(0, 200) << answers;
    EXPECT_EQ(Count(answers, "HTTP/1.1 4"), 1) << head.substr(0, 200) << answers;
    EXPECT_EQ(Count(answers, "\r\nConnection: close\r\n"), 1) << answers;
    EXPECT_EQ(echo_.Handled(), std::vector<std::string>()) << head.substr(0, 200);
  }
  // A body that is read to its end is no request either, whatever the method.
  for (const char* method : {"GET", "DELETE", "POST", "X"}) {
    const std::string answers =
        Ask(method + std::string(" /a HTTP/1.1\r\nHost: x\r\n") + length + "\r\n" + hidden);
    EXPECT_EQ(Count(answers, "HTTP/1.1 "), 1) << answers;
    EXPECT_EQ(echo_.Handled(), std::vector<std::string>{"/a"}) << method;
  }
}

TEST_F(HttpBodiesTest, ShareABudget) {
  const std::string head =
      "POST /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ";
  const std::string body(200'000, 'b');
  EXPECT_EQ(Count(Ask(head + "200000\r\n\r\n" + body), "\r\n\r\n200000"), 1);
  std::string refused;
  {
    std::vector<std::unique_ptr<Connection>> unfinished;
    for (int i = 0; i < 6 && refused.empty(); ++i) {
      unfinished.push_back(std::make_unique<Connection>(server_->port()));
      unfinished.back()->Push(head + "900000\r\n\r\n" + body);
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      const Connection other(server_->port());
      other.Push(head + "200000\r\n\r\n" + body);
      const std::string answer = other.All();
      if (Count(answer, "HTTP/1.1 503") == 1) refused = answer;
    }
    EXPECT_EQ(Count(refused, "\r\nRetry-After: "), 1) << refused;
    EXPECT_EQ(Count(refused, "\r\nConnection: close\r\n"), 1) << refused;
    // What has no body is answered.
    EXPECT_EQ(Count(Ask("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), " 200 "), 1);
  }
  // It is given back when they have gone.
  std::string answer;
  for (int i = 0; i < 50 && Count(answer, "\r\n\r\n200000") == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const Connection other(server_->port());
    other.Push(head + "200000\r\n\r\n" + body);
    answer = other.All();
  }
  EXPECT_EQ(Count(answer, "\r\n\r\n200000"), 1) << answer;
}

TEST_F(HttpTest, ProxiesThatSpeakTheOlderVersionGetWholeAnswers) {
  const std::string answer = Ask("GET /a HTTP/1.0\r\nHost: x\r\n\r\nGET /b HTTP/1.0\r\n\r\n");
  EXPECT_EQ(Count(answer, "HTTP/1.0 200"), 1) << answer;
  EXPECT_EQ(Count(answer, "Content-Length: 4\r\n"), 1) << answer;
  const std::string stream = Ask("GET /stream HTTP/1.0\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(stream.ends_with("\r\n\r\npiece piece piece ")) << stream;
  EXPECT_EQ(Count(stream, "chunked"), 0) << stream;
  const std::string kept =
      Ask("GET /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
          "GET /b HTTP/1.0\r\nHost: x\r\n\r\n");
  EXPECT_EQ(Count(kept, "HTTP/1.0 200"), 2) << kept;
}

TEST_F(HttpTest, AnswersOfAStreamFollowOneAnother) {
  const std::string answers =
      Ask("GET /stream HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(Count(answers, "HTTP/1.1 200"), 2) << answers;
  EXPECT_EQ(Count(answers, "\r\n0\r\n\r\n"), 1) << answers;
}

TEST_F(HttpTest, ClientsMayAskBeforeTheySend) {
  const Connection connection(server_->port());
  connection.Send(
      "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(connection.Some(), "HTTP/1.1 100 Continue\r\n\r\n");
  connection.Send("abc");
  EXPECT_EQ(Count(connection.All(), "POST abc"), 1);
  const std::string refused =
      Ask("POST /refused HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(Count(refused, "HTTP/1.1 100"), 0) << refused;
}

TEST_F(HttpTest, HeadsHaveNoBody) {
  const std::string answer = Ask("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(Count(answer, "Content-Length: 5\r\n"), 1) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
}

TEST_F(HttpTest, SlowClientsAreClosed) {
  for (const char* begun : {"", "GET /a HT", "GET /a HTTP/1.1\r\nHost: x\r\nX",
                            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"}) {
    const auto start = Clock::now();
    const Connection connection(server_->port());
    connection.Send(begun);
    connection.All();
    EXPECT_LT(Clock::now() - start, std::chrono::seconds(5)) << begun;
  }
}

TEST_F(HttpTest, ADripOfBytesDoesNotHold) {
  const Connection connection(server_->port());
  connection.Send("GET /a HTTP/1.1\r\n");
  const auto start = Clock::now();
  std::thread drip([&] {
    for (int i = 0; i < 30; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      connection.Send("");
    }
  });
  connection.All();
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(2));
  drip.join();
}

TEST_F(HttpTest, MoreClientsThanPlacesAreServed) {
  std::vector<std::unique_ptr<Connection>> idle;
  for (int i = 0; i < 20; ++i) idle.push_back(std::make_unique<Connection>(server_->port()));
  const auto start = Clock::now();
  EXPECT_EQ(Count(Ask("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "200"), 1);
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(3));
}

TEST_F(HttpTest, LongHeadsAreRefused) {
  const std::string answer =
      Ask("GET /" + std::string(9'000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(answer.find("414"), std::string::npos) << answer.substr(0, 100);
}

TEST_F(HttpTest, APortIsTakenOnce) {
  HttpOptions options;
  options.port = server_->port();
  ExpectError(ErrorCode::kPrecondition, "--port", [&] { HttpServer second(options, echo_); });
}

TEST(Http, NoAddressIsNoneOfAll) {
  Echo echo;
  HttpOptions options;
  options.host = "";
  ExpectError(ErrorCode::kPrecondition, "--listen", [&] { HttpServer server(options, echo); });
  options.host = "0";
  EXPECT_EQ(HttpServer(options, echo).address(), "0.0.0.0");
}

TEST(Http, StopsBeforeItListens) {
  Echo echo;
  HttpServer server({}, echo);
  server.Stop();
  server.Listen();  // comes back
}

}  // namespace
}  // namespace cliplens::server
