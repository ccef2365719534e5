// What servers say, taken apart without a connection: lines of headers, redirects, ranges, pauses.
//
//   HttpAnswer answer{.url = "https://huggingface.co/a/b/resolve/main/config.json"};
//   for (const char* line : {"HTTP/1.1 302 Found\r\n", "Location: /c/d\r\n", "\r\n"}) {
//     TakeHttpHeader(line, answer);
//   }
//   Print(RedirectOf(answer));  // https://huggingface.co/c/d
#pragma once

#include <ctime>
#include <map>
#include <string>
#include <string_view>

#include "cliplens/base/index.h"

namespace cliplens {

struct HttpAnswer {
  int status = 0;                                   // of the last answer
  std::string url = {};                             // that gave it
  std::map<std::string, std::string> headers = {};  // of the last answer; names in lower case
  std::string body = {};                            // of HttpGet

  // A header, empty where there is none. `name` is in lower case.
  std::string Header(std::string_view name) const;
};

// An address without its query, which may hold secrets, as messages quote it.
std::string UrlText(std::string_view url);
// The value of an address's part: letters, digits and "-_.~" as they are, all else as %XX.
std::string UrlPart(std::string_view text);
// "https://host:443". Throws Error(kInvalidArgument) for what is no address of http or https.
std::string HttpOrigin(const std::string& url);

// One line of an answer's head. A line with a status begins a new answer: that of a proxy and "100
// Continue" come before the answer itself.
void TakeHttpHeader(std::string_view line, HttpAnswer& answer);

bool IsHttpRedirect(int status);
// Where an answer leads from its own address; empty where it does not. Throws Error(kCorruptData)
// for what is no address and for a way from https to http, and as HttpOrigin.
std::string RedirectOf(const HttpAnswer& answer);

// How long Retry-After asks to wait, in seconds; 0 where it says nothing that can be read.
Index RetryAfter(const HttpAnswer& answer, std::time_t now);

// A body that is to come into a file.
struct WantedBody {
  std::string url;  // for messages
  Index have = 0;   // bytes that are there
  Index size = -1;  // of the whole; -1: not known
  Index most = 0;   // bytes that are taken: the size, where it is known
};
// Where the body of an answer of status 200 or 206 begins: at what is there, or at 0. Throws
// Error(kCorruptData) for another part than that asked for, and for another size.
Index FirstByteOf(const HttpAnswer& answer, const WantedBody& wanted);
// Throws Error(kCorruptData): `got` bytes are another size; `or_more`: it is not known to the end.
[[noreturn]] void ThrowBodySize(const WantedBody& wanted, Index got, bool or_more);

}  // namespace cliplens
