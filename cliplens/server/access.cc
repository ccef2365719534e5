#include "cliplens/server/access.h"

#include <algorithm>
#include <array>
#include <cctype>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/random.h>

namespace cliplens::server {
namespace {

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// An address as it stands in an URL.
std::string Bracketed(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

bool IsEveryAddress(std::string_view host) { return host == "0.0.0.0" || host == "::"; }

// 1.2.3.4 or [::1], as they stand in an URL.
bool IsNumber(std::string host) {
  std::array<unsigned char, sizeof(in6_addr)> ignored{};
  if (inet_pton(AF_INET, host.c_str(), ignored.data()) == 1) return true;
  if (host.size() < 2 || host.front() != '[' || host.back() != ']') return false;
  host = host.substr(1, host.size() - 2);
  return inet_pton(AF_INET6, host.c_str(), ignored.data()) == 1;
}

std::string_view CookieOf(std::string_view cookies, std::string_view name) {
  while (!cookies.empty()) {
    const std::size_t end = std::min(cookies.find(';'), cookies.size());
    std::string_view one = cookies.substr(0, end);
    cookies.remove_prefix(std::min(end + 1, cookies.size()));
    while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
    if (one.starts_with(name) && one.substr(name.size()).starts_with('=')) {
      return one.substr(name.size() + 1);
    }
  }
  return {};
}

}  // namespace

bool IsLoopback(std::string_view host) {
  if (host == "localhost" || host == "::1") return true;
  return host.starts_with("127.") &&
         std::ranges::all_of(host, [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

bool SameSecret(std::string_view a, std::string_view b) {
  unsigned different = a.size() == b.size() ? 0U : 1U;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const char other = b.empty() ? '\0' : b[i % b.size()];
    different |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(other);
  }
  return different == 0;
}

std::string MakeToken() {
  std::array<std::uint8_t, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw Error(ErrorCode::kInternal, "the system gave no random numbers for a token; name one");
  }
  std::string token;
  for (const std::uint8_t byte : bytes) token += fmt::format("{:02x}", byte);
  return token;
}

Access::Access(AccessOptions options) : options_(std::move(options)) {
  for (std::string& name : options_.names) name = Lower(name);
}

bool Access::IsOurs(std::string_view authority) const {
  const std::string text = Lower(authority);
  const std::string port = fmt::format(":{}", options_.port);
  std::vector<std::string> hosts = options_.names;
  hosts.push_back(Lower(Bracketed(options_.host)));
  if (IsLoopback(options_.host)) {
    hosts.insert(hosts.end(), {"localhost", "127.0.0.1", "[::1]"});
  }
  if (IsEveryAddress(options_.host) && text.ends_with(port)) {
    const std::string host = text.substr(0, text.size() - port.size());
    if (host == "localhost" || IsNumber(host)) return true;
  }
  return std::ranges::any_of(hosts, [&](const std::string& host) {
    return text == host + port || (options_.port == 80 && text == host);
  });
}

bool Access::HasToken(const Request& request) const {
  constexpr std::string_view kBearer = "Bearer ";
  const std::string_view authorization = request.header("authorization");
  if (authorization.starts_with(kBearer)) {
    return SameSecret(authorization.substr(kBearer.size()), options_.token);
  }
  return SameSecret(CookieOf(request.header("cookie"), kTokenCookie), options_.token);
}

std::optional<Response> Access::Check(const Request& request) const {
  const std::string_view host = request.header("host");
  if (host.empty()) return ErrorResponse(400, "invalid-argument", "the request names no Host");
  if (!IsOurs(host)) {
    return ErrorResponse(403, "forbidden",
                         fmt::format("this is not the server that the request is for; open {}, or "
                                     "name further hosts with --host-name",
                                     Address()));
  }
  const std::string_view origin = request.header("origin");
  if (!origin.empty() && origin != fmt::format("http://{}", host)) {
    return ErrorResponse(403, "forbidden", "a page of another site asks; it gets no answer");
  }
  const std::string_view site = request.header("sec-fetch-site");
  const bool opens_page = request.method == "GET" && request.path == "/" &&
                          request.header("sec-fetch-mode") == "navigate";
  if (!site.empty() && site != "same-origin" && site != "none" && !opens_page) {
    return ErrorResponse(403, "forbidden", "a page of another site asks; it gets no answer");
  }
  if (!options_.token.empty() && !HasToken(request)) {
    return ErrorResponse(401, "unauthorized",
                         "a token is needed: open the address that 'cliplens serve' printed, or "
                         "send 'Authorization: Bearer TOKEN'");
  }
  return std::nullopt;
}

std::optional<Response> Access::SignIn(const Request& request) const {
  if (options_.token.empty() || request.method != "GET" || request.path != "/") return std::nullopt;
  if (!IsOurs(request.header("host"))) return std::nullopt;
  if (!SameSecret(request.parameter("token"), options_.token)) return std::nullopt;
  Response response{.status = 303, .content_type = "text/plain"};
  response.headers = {{"Location", "/"},
                      {"Set-Cookie", fmt::format("{}={}; HttpOnly; SameSite=Strict; Path=/",
                                                 kTokenCookie, options_.token)}};
  return response;
}

std::string Access::Address() const {
  const std::string host = IsEveryAddress(options_.host) ? "127.0.0.1" : options_.host;
  return fmt::format("http://{}:{}/", Bracketed(host), options_.port);
}

std::string Access::SecretAddress() const {
  return options_.token.empty() ? Address() : Address() + "?token=" + options_.token;
}

}  // namespace cliplens::server
