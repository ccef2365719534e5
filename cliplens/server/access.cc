#include "cliplens/server/access.h"

#include <algorithm>
#include <array>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/random.h>

#include "cliplens/base/ascii.h"
#include "cliplens/io/printable.h"

namespace cliplens::server {
namespace {

constexpr std::size_t kMostHostShown = 80;

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

// "lab.example:8443" in its parts.
struct Authority {
  std::string host;  // in lower case
  std::string port;  // empty where there is none

  std::string PortFor(std::string_view scheme) const {
    if (!port.empty()) return port;
    return scheme == "https" ? "443" : "80";
  }
};

// Nothing for what is no host with an optional port: users, paths, blanks, lists.
std::optional<Authority> AuthorityOf(std::string_view text) {
  Authority parts;
  const std::size_t bracket = text.starts_with('[') ? text.find(']') : 0;
  if (bracket == std::string_view::npos) return std::nullopt;
  const std::size_t colon = std::min(text.find(':', bracket), text.size());
  parts.host = LowerAscii(text.substr(0, colon));
  parts.port = text.substr(std::min(colon + 1, text.size()));
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  };
  if (parts.host.starts_with('[') ? !IsNumber(parts.host)
                                  : parts.host.empty() || !std::ranges::all_of(parts.host, fits)) {
    return std::nullopt;
  }
  const bool digits = std::ranges::all_of(parts.port, [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || parts.port.size() > 5 || (colon < text.size() && parts.port.empty())) {
    return std::nullopt;
  }
  return parts;
}

// The parts of a list such as proxies make, each adding its own.
std::vector<std::string_view> PartsOf(std::string_view list) {
  std::vector<std::string_view> parts;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    std::string_view part = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    parts.push_back(part);
  }
  return parts;
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

bool IsHostName(std::string_view name) { return AuthorityOf(name).has_value(); }

Access::Access(AccessOptions options) : options_(std::move(options)) {}

bool Access::IsNamed(std::string_view authority, std::string_view scheme) const {
  const std::optional<Authority> asked = AuthorityOf(authority);
  if (!asked) return false;
  return std::ranges::any_of(options_.names, [&](const std::string& name) {
    const std::optional<Authority> ours = AuthorityOf(name);
    return ours && ours->host == asked->host &&
           (scheme.empty() || ours->port.empty() || ours->port == asked->PortFor(scheme));
  });
}

bool Access::IsOurs(std::string_view authority) const {
  const std::optional<Authority> asked = AuthorityOf(authority);
  if (!asked) return false;
  const std::string& host = asked->host;
  if (IsNamed(authority, "") || host == LowerAscii(Bracketed(options_.host))) return true;
  if (IsEveryAddress(options_.host) && IsNumber(host)) return true;
  return IsLoopback(host) || host == "[::1]";
}

std::optional<Access::Asked> Access::AskedOf(const Request& request) const {
  Asked asked{.authority = std::string(request.header("host")), .scheme = "http"};
  if (!IsOurs(asked.authority)) return std::nullopt;
  if (!options_.behind_proxy) return asked;
  const std::vector<std::string_view> hosts = PartsOf(request.header("x-forwarded-host"));
  for (const std::string_view host : hosts) {
    if (!IsOurs(host)) return std::nullopt;
  }
  if (!hosts.empty()) asked.authority = hosts.front();
  const std::vector<std::string_view> schemes = PartsOf(request.header("x-forwarded-proto"));
  if (!schemes.empty() && schemes.front() == "https") asked.scheme = "https";
  return asked;
}

bool Access::IsOwnOrigin(std::string_view origin, const Asked& asked, std::string_view site) const {
  const std::size_t colon = std::min(origin.find("://"), origin.size());
  const std::string_view scheme = origin.substr(0, colon);
  const std::string_view authority = origin.substr(std::min(colon + 3, origin.size()));
  if (scheme != "http" && scheme != "https") return false;
  const std::optional<Authority> from = AuthorityOf(authority);
  const std::optional<Authority> to = AuthorityOf(asked.authority);
  if (!from || !to) return false;
  if (scheme == asked.scheme && from->host == to->host &&
      from->PortFor(scheme) == to->PortFor(scheme)) {
    return true;
  }
  // Behind a proxy that puts its own Host. No page can make a browser say same-origin, and the
  // name of the origin, which is ours, shows that no other name was pointed here.
  return IsNamed(authority, scheme) || (IsOurs(authority) && site == "same-origin");
}

std::string Access::CookieName(const Asked& asked) const {
  const std::optional<Authority> parts = AuthorityOf(asked.authority);
  return "cliplens_token_" +
         (parts && !parts->port.empty() ? parts->port : std::to_string(options_.port));
}

bool Access::HasToken(const Request& request, const Asked& asked) const {
  constexpr std::string_view kBearer = "Bearer ";
  const std::string_view authorization = request.header("authorization");
  if (authorization.starts_with(kBearer)) {
    return SameSecret(authorization.substr(kBearer.size()), options_.token);
  }
  return SameSecret(CookieOf(request.header("cookie"), CookieName(asked)), options_.token);
}

std::optional<Response> Access::Check(const Request& request) const {
  const std::string_view host = request.header("host");
  if (host.empty()) return ErrorResponse(400, "invalid-argument", "the request names no Host");
  const std::optional<Asked> asked = AskedOf(request);
  if (!asked) {
    return ErrorResponse(
        403, "forbidden",
        fmt::format("the server does not know itself by the name '{}'; open {}, or start it with "
                    "--host-name NAME for each name by which its page is reached",
                    Printable(host, kMostHostShown), Address()));
  }
  const std::string_view site = request.header("sec-fetch-site");
  const std::string_view origin = request.header("origin");
  if (!origin.empty() && !IsOwnOrigin(origin, *asked, site)) {
    return ErrorResponse(
        403, "forbidden",
        fmt::format("a page of another site ({}) asks; it gets no answer. If it is the explorer's, "
                    "behind a proxy, start the server with --host-name NAME",
                    Printable(origin, kMostHostShown)));
  }
  const bool opens_page = request.method == "GET" && request.path == "/" &&
                          request.header("sec-fetch-mode") == "navigate";
  if (!site.empty() && site != "same-origin" && site != "none" && !opens_page) {
    return ErrorResponse(403, "forbidden", "a page of another site asks; it gets no answer");
  }
  if (!options_.token.empty() && !HasToken(request, *asked)) {
    return ErrorResponse(401, "unauthorized",
                         "a token is needed: open the address that 'cliplens serve' printed, or "
                         "send 'Authorization: Bearer TOKEN'");
  }
  return std::nullopt;
}

std::optional<Response> Access::SignIn(const Request& request) const {
  if (options_.token.empty() || request.method != "GET" || request.path != "/") return std::nullopt;
  const std::optional<Asked> asked = AskedOf(request);
  if (!asked) return std::nullopt;
  if (!SameSecret(request.parameter("token"), options_.token)) return std::nullopt;
  Response response{.status = 303, .content_type = "text/plain"};
  // Relative, and a cookie without Path: both mean the folder that the browser asked.
  response.headers = {
      {"Location", "./"},
      {"Set-Cookie", fmt::format("{}={}; HttpOnly; SameSite=Strict{}", CookieName(*asked),
                                 options_.token, asked->scheme == "https" ? "; Secure" : "")}};
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
