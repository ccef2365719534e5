#include "cliplens/server/request_head.h"

#include <algorithm>

#include <boost/beast/http/basic_parser.hpp>

#include "cliplens/base/ascii.h"

namespace cliplens::server {
namespace {

namespace http = boost::beast::http;
using BeastText = boost::beast::string_view;
using BeastError = boost::beast::error_code;

std::string_view ViewOf(BeastText text) { return {text.data(), text.size()}; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Nothing where a percent sign is not followed by two digits.
std::optional<std::string> Decoded(std::string_view text, bool plus_is_blank) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_blank) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = HexDigit(text[i + 1]);
      const int low = HexDigit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(16 * high + low);
      i += 2;
    }
  }
  return out;
}

Response BadRequest(std::string_view message) {
  return ErrorResponse(400, "invalid-argument", message);
}

}  // namespace

// Beast calls the On… functions as it reads; an error that they set ends the reading.
class HeadReader::Parser : public http::basic_parser<true> {
 public:
  explicit Parser(HeadLimits limits) : limits_(limits) {
    header_limit(static_cast<std::uint32_t>(limits.bytes));
    body_limit(boost::none);
    skip(true);  // the body is no matter of this parser's
  }

  State Read(std::string_view text) {
    while (!problem_ && !is_done() && read_ < text.size()) {
      BeastError error;
      const std::string_view rest = text.substr(read_);
      read_ += put(boost::asio::const_buffer(rest.data(), rest.size()), error);
      if (error == http::error::need_more) break;
      if (error) Refuse(error, text);
    }
    // What Beast takes for one line, other programs take for two.
    const std::string_view head = text.substr(0, read_);
    if (!problem_ && is_done() &&
        (head.find("\r\n ") != std::string_view::npos ||
         head.find("\r\n\t") != std::string_view::npos)) {
      problem_ = BadRequest("a header goes on in a second line; write it in one");
    }
    if (!problem_ && is_done()) CheckBody();
    if (!problem_ && !is_done() && static_cast<Index>(text.size()) >= limits_.bytes) {
      Refuse(http::error::header_limit, text);
    }
    if (problem_) return kRefused;
    return is_done() ? kDone : kMore;
  }

  const std::optional<Response>& problem() const { return problem_; }
  Request& request() { return request_; }
  Index size() const { return static_cast<Index>(read_); }
  Index body_bytes() const { return body_bytes_; }
  bool is_http_1_0() const { return http_1_0_; }

 private:
  void Refuse(const BeastError& error, std::string_view text) {
    if (problem_) return;
    if (error == http::error::header_limit) {
      // The line alone is too long when it has no end.
      problem_ =
          text.find("\r\n") != std::string_view::npos
              ? ErrorResponse(431, "exhausted",
                              fmt::format("the headers have more than {} bytes", limits_.bytes))
              : TooLongTarget();
    } else {
      problem_ =
          BadRequest(fmt::format("this is no request that can be answered: {}", error.message()));
    }
  }
  Response TooLongTarget() const {
    return ErrorResponse(414, "invalid-argument",
                         fmt::format("the address has more than {} bytes", limits_.target_bytes));
  }
  void Stop(Response problem, BeastError& error) {
    problem_ = std::move(problem);
    error = http::error::bad_value;
  }

  void ReadTarget(std::string_view target, BeastError& error) {
    const std::size_t mark = std::min(target.find('?'), target.size());
    const std::optional<std::string> path = Decoded(target.substr(0, mark), false);
    if (!target.starts_with('/') || target.find('#') != std::string_view::npos || !path) {
      return Stop(BadRequest("the target is no path with an optional query"), error);
    }
    request_.path = *path;
    std::string_view query = target.substr(std::min(mark + 1, target.size()));
    while (!query.empty()) {
      const std::size_t end = std::min(query.find('&'), query.size());
      const std::string_view one = query.substr(0, end);
      query.remove_prefix(std::min(end + 1, query.size()));
      const std::size_t equals = std::min(one.find('='), one.size());
      std::optional<std::string> name = Decoded(one.substr(0, equals), true);
      std::optional<std::string> value =
          Decoded(one.substr(std::min(equals + 1, one.size())), true);
      if (!name || !value) return Stop(BadRequest("the query has a bad percent sign"), error);
      if (!name->empty()) request_.query.emplace(*std::move(name), *std::move(value));
    }
  }

  // How many bytes follow. Called when the head is whole.
  void CheckBody() {
    const std::string_view length = request_.header("content-length");
    if (request_.headers.contains("transfer-encoding")) {
      problem_ =
          request_.headers.contains("content-length")
              ? BadRequest("the request has a Transfer-Encoding beside its Content-Length")
              : ErrorResponse(411, "invalid-argument", "the request must state its Content-Length");
      return;
    }
    if (!request_.headers.contains("content-length")) return;
    if (length.empty() || length.size() > 18 ||
        length.find_first_not_of("0123456789") != std::string_view::npos) {
      problem_ = BadRequest("the Content-Length is no number");
      return;
    }
    body_bytes_ = std::stoll(std::string(length));
  }

  void on_request_impl(http::verb /*verb*/, BeastText method, BeastText target, int version,
                       BeastError& error) override {
    http_1_0_ = version == 10;
    request_.method = ViewOf(method);
    if (static_cast<Index>(target.size()) > limits_.target_bytes) {
      return Stop(TooLongTarget(), error);
    }
    ReadTarget(ViewOf(target), error);
  }
  void on_field_impl(http::field /*field*/, BeastText name, BeastText value,
                     BeastError& error) override {
    std::string lower = LowerAscii(ViewOf(name));
    const auto [at, is_new] = request_.headers.emplace(lower, ViewOf(value));
    if (is_new) return;
    if (lower == "host" || lower == "origin" || lower == "content-length") {
      return Stop(BadRequest(fmt::format("the request has two headers {}", lower)), error);
    }
    at->second += lower == "cookie" ? "; " : ", ";
    at->second += ViewOf(value);
  }
  void on_header_impl(BeastError& /*error*/) override {}
  void on_finish_impl(BeastError& /*error*/) override {}
  // Of responses and bodies, which are not read here.
  void on_response_impl(int /*code*/, BeastText /*reason*/, int /*version*/,
                        BeastError& /*error*/) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>& /*length*/,
                         BeastError& /*error*/) override {}
  std::size_t on_body_impl(BeastText body, BeastError& /*error*/) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t /*size*/, BeastText /*extensions*/,
                            BeastError& /*error*/) override {}
  std::size_t on_chunk_body_impl(std::uint64_t /*remain*/, BeastText body,
                                 BeastError& /*error*/) override {
    return body.size();
  }

  HeadLimits limits_;
  Request request_;
  std::optional<Response> problem_;
  std::size_t read_ = 0;
  Index body_bytes_ = 0;
  bool http_1_0_ = false;
};

HeadReader::HeadReader(HeadLimits limits) : parser_(std::make_unique<Parser>(limits)) {}
HeadReader::~HeadReader() = default;

HeadReader::State HeadReader::Read(std::string_view text) { return parser_->Read(text); }
const std::optional<Response>& HeadReader::problem() const { return parser_->problem(); }
Request& HeadReader::request() { return parser_->request(); }
Index HeadReader::size() const { return parser_->size(); }
Index HeadReader::body_bytes() const { return parser_->body_bytes(); }
bool HeadReader::keep_alive() const { return parser_->keep_alive(); }
bool HeadReader::is_http_1_0() const { return parser_->is_http_1_0(); }
bool HeadReader::wants_continue() const {
  return !is_http_1_0() && parser_->body_bytes() > 0 &&
         LowerAscii(parser_->request().header("expect")) == "100-continue";
}

}  // namespace cliplens::server
