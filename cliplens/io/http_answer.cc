#include "cliplens/io/http_answer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include <curl/curl.h>
#include <fmt/format.h>

#include "cliplens/base/ascii.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parse_number.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

// A parsed address.
class WebAddress {
 public:
  explicit WebAddress(const std::string& url) : handle_(curl_url(), curl_url_cleanup) {
    if (handle_ == nullptr ||
        curl_url_set(handle_.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: no address of the web; it is written https://HOST/PATH", UrlText(url));
    }
    const std::string scheme = Part(CURLUPART_SCHEME);
    if (scheme != "http" && scheme != "https") {
      throw Error(ErrorCode::kInvalidArgument, "{}: only http and https are fetched", UrlText(url));
    }
  }

  std::string Part(CURLUPart part) const {
    char* text = nullptr;
    if (curl_url_get(handle_.get(), part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return "";
    const std::unique_ptr<char, void (*)(void*)> owned(text, curl_free);
    return text;
  }

  bool secure() const { return Part(CURLUPART_SCHEME) == "https"; }

  // "https://host:443"
  std::string Origin() const {
    return fmt::format("{}://{}:{}", Part(CURLUPART_SCHEME), LowerAscii(Part(CURLUPART_HOST)),
                       Part(CURLUPART_PORT));
  }

  // What `location` means from here, or nothing where it is no address.
  std::optional<std::string> Join(const std::string& location) const {
    const std::unique_ptr<CURLU, void (*)(CURLU*)> joined(curl_url_dup(handle_.get()),
                                                          curl_url_cleanup);
    if (joined == nullptr ||
        curl_url_set(joined.get(), CURLUPART_URL, location.c_str(), CURLU_URLENCODE) != CURLUE_OK) {
      return std::nullopt;
    }
    char* text = nullptr;
    if (curl_url_get(joined.get(), CURLUPART_URL, &text, 0) != CURLUE_OK) return std::nullopt;
    const std::unique_ptr<char, void (*)(void*)> owned(text, curl_free);
    return text;
  }

 private:
  std::unique_ptr<CURLU, void (*)(CURLU*)> handle_;
};

// "bytes 100-199/200": the first byte and the size of the whole, -1 where that is not said.
std::optional<std::pair<Index, Index>> ParseContentRange(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return std::nullopt;
  text.remove_prefix(kUnit.size());
  const std::size_t dash = text.find('-');
  const std::size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || dash > slash) {
    return std::nullopt;
  }
  const std::optional<Index> first = ParseNumber<Index>(text.substr(0, dash));
  if (!first) return std::nullopt;
  return std::pair(*first, ParseNumber<Index>(text.substr(slash + 1)).value_or(-1));
}

}  // namespace

std::string HttpAnswer::Header(std::string_view name) const {
  const auto found = headers.find(std::string(name));
  return found == headers.end() ? "" : found->second;
}

std::string UrlText(std::string_view url) {
  std::string text(url.substr(0, url.find_first_of("?#")));
  const std::size_t scheme = text.find("://");
  if (scheme != std::string::npos) {
    const std::size_t host = scheme + 3;
    const std::size_t end = std::min(text.find('/', host), text.size());
    const std::size_t at = text.rfind('@', end);
    if (at != std::string::npos && at >= host && at < end) text.erase(host, at + 1 - host);
  }
  return Printable(text);
}

std::string UrlPart(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string HttpOrigin(const std::string& url) { return WebAddress(url).Origin(); }

void TakeHttpHeader(std::string_view line, HttpAnswer& answer) {
  if (line.starts_with("HTTP/")) {
    answer.headers.clear();
    answer.status = 0;
    const std::size_t blank = line.find(' ');
    if (blank != std::string_view::npos) {
      answer.status = ParseNumber<int>(line.substr(blank + 1, 3)).value_or(0);
    }
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  std::string_view value = line.substr(colon + 1);
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!value.empty() && blank(value.front())) value.remove_prefix(1);
  while (!value.empty() && blank(value.back())) value.remove_suffix(1);
  answer.headers.emplace(LowerAscii(line.substr(0, colon)), value);
}

bool IsHttpRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string RedirectOf(const HttpAnswer& answer) {
  const std::string location = answer.Header("location");
  if (!IsHttpRedirect(answer.status) || location.empty()) return "";
  const WebAddress here(answer.url);
  std::optional<std::string> next = here.Join(location);
  if (!next) {
    throw Error(ErrorCode::kCorruptData, "{}: leads to '{}', which is no address; ask its operator",
                UrlText(answer.url), Printable(location, 80));
  }
  if (const WebAddress there(*next); here.secure() && !there.secure()) {
    throw Error(ErrorCode::kCorruptData,
                "{}: leads from https to {}, which anybody could read and change; it is not "
                "followed, ask its operator",
                UrlText(answer.url), UrlText(*next));
  }
  return *std::move(next);
}

Index RetryAfter(const HttpAnswer& answer, std::time_t now) {
  const std::string value = answer.Header("retry-after");
  if (const std::optional<Index> seconds = ParseNumber<Index>(value)) {
    return std::max<Index>(*seconds, 0);
  }
  const std::time_t until = curl_getdate(value.c_str(), nullptr);
  return until < 0 ? 0 : std::max<Index>(until - now, 0);
}

Index FirstByteOf(const HttpAnswer& answer, const WantedBody& wanted) {
  Index first = 0;
  Index whole = -1;
  if (answer.status == 206) {
    const auto range = ParseContentRange(answer.Header("content-range"));
    if (!range || range->first != wanted.have) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: gives the part '{}' where bytes from {} on were asked for; ask its operator",
                  UrlText(wanted.url), Printable(answer.Header("content-range"), 80), wanted.have);
    }
    std::tie(first, whole) = *range;
  } else {
    whole = ParseNumber<Index>(answer.Header("content-length")).value_or(-1);
  }
  const bool fits = wanted.size >= 0 ? whole == wanted.size : whole <= wanted.most;
  if (whole >= 0 && !fits) ThrowBodySize(wanted, whole, whole != first);
  return first;
}

void ThrowBodySize(const WantedBody& wanted, Index got, bool or_more) {
  throw Error(ErrorCode::kCorruptData, "{}: has {} bytes{}, {} {}; ask its operator",
              UrlText(wanted.url), got, or_more ? " or more" : "", wanted.most,
              wanted.size >= 0 ? "were announced" : "are taken at most");
}

}  // namespace cliplens
