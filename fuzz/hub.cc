// What a hub of models says, without a connection: the listing of a repository, the heads of
// answers about a file, their redirects, ranges, pauses and refusals.
#include <algorithm>
#include <cstdlib>

#include "fuzz/fuzz.h"

#include "cliplens/io/http_answer.h"
#include "cliplens/model/hub_answer.h"
#include "cliplens/model/hub_cache.h"

using namespace cliplens;

namespace {

constexpr Index kHave = 1'000;
constexpr Index kMost = 1 << 20;

// The head of an answer, as libcurl hands it over: line by line, each with its end.
HttpAnswer ReadHead(std::string_view head) {
  HttpAnswer answer{.url = "https://huggingface.co/a/b/resolve/main/config.json"};
  while (!head.empty()) {
    const std::size_t end = std::min(head.find('\n'), head.size() - 1) + 1;
    TakeHttpHeader(head.substr(0, end), answer);
    head.remove_prefix(end);
  }
  for (const auto& [name, value] : answer.headers) {
    if (name.find('\n') != std::string::npos || value.find('\n') != std::string::npos) {
      std::abort();
    }
  }
  return answer;
}

bool IsPlainName(std::string_view name) {
  return !name.empty() && name.size() <= 128 && name.front() != '.' &&
         name.find_first_of(std::string_view("/\\\0 \n", 5)) == std::string_view::npos;
}

// Along the redirects, if the next answer says the same again.
void FollowOn(HttpAnswer answer) {
  for (int hop = 0; hop < 3; ++hop) {
    const std::string next = RedirectOf(answer);
    if (next.empty()) return;
    if (!IsHttpRedirect(answer.status)) std::abort();
    // From https to https alone, so the origin of the hub, where the token goes, is its own.
    if (!HttpOrigin(next).starts_with("https://")) std::abort();
    if (UrlText(next).find('?') != std::string::npos) std::abort();
    answer.url = next;
  }
}

}  // namespace

CLIPLENS_FUZZ_TARGET(hub) {
  const std::string commit(40, 'a');
  auto parts = fuzz::SplitParts(input, {"listing", "head"});
  if (parts.contains("listing")) {
    fuzz::Guard([&] {
      const HubListing listing = ParseHubListing(parts["listing"], "https://huggingface.co/api");
      if (!IsHubCommit(listing.commit)) std::abort();
    });
  }
  if (!parts.contains("head")) return;
  const HttpAnswer answer = ReadHead(parts["head"]);
  fuzz::Guard([&] {
    const HubFile file = ParseHubFile(answer, "config.json", "hf:a/b: config.json", commit);
    if (!IsPlainName(file.etag) || file.size < -1 || file.size > Index{1} << 40) std::abort();
  });
  fuzz::Guard([&] { FollowOn(answer); });
  const Index pause = RetryAfter(answer, 1'700'000'000);
  if (pause < 0) std::abort();
  for (const Index size : {Index{-1}, Index{5'000}}) {
    fuzz::Guard([&] {
      const Index first = FirstByteOf(
          answer,
          {.url = answer.url, .have = kHave, .size = size, .most = size < 0 ? kMost : size});
      if (first != 0 && first != kHave) std::abort();
      if (answer.status == 206 && first != kHave) std::abort();
    });
  }
  for (const bool has_token : {false, true}) {
    const bool came = fuzz::Guard([&] {
      ThrowHubRefusal(answer, "hf:a/b",
                      {.page = "https://huggingface.co/a/b",
                       .revision = "main",
                       .token_file = "token",
                       .has_token = has_token});
    });
    if (came) std::abort();
  }
}
