#include "cliplens/server/http.h"

#include <chrono>
#include <string>
#include <thread>

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
  Index BodyLimit(const Request&) override { return 1'000; }
  Response Handle(const Request& request) override {
    if (request.path == "/stream") {
      Response response{.content_type = "text/plain"};
      response.stream = [left = 3](const Writer& write) mutable {
        return write("piece ") && --left > 0;
      };
      return response;
    }
    if (request.path == "/throw") throw Error(ErrorCode::kInternal, "thrown");
    return {.content_type = "text/plain", .body = request.method + " " + request.body};
  }
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
    options.body_seconds = 0.5;
    options.idle_seconds = 0.5;
    options.stop_seconds = 1;
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

  Echo echo_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
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

TEST_F(HttpTest, BodiesOfRefusedRequestsAreNoRequests) {
  const std::string hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
  for (const std::string& head :
       {std::string("POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: "),
        std::string("DELETE /a HTTP/1.1\r\nHost: x\r\nContent-Length: "),
        std::string("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: "),
        std::string("POST /a HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: ")}) {
    const std::string answers = Ask(head + std::to_string(hidden.size()) + "\r\n\r\n" + hidden);
    EXPECT_EQ(Count(answers, "HTTP/1.1 "), 1) << answers;
  }
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

TEST(Http, StopsBeforeItListens) {
  Echo echo;
  HttpServer server({}, echo);
  server.Stop();
  server.Listen();
  EXPECT_TRUE(server.stopping());
}

}  // namespace
}  // namespace cliplens::server
