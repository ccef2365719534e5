#include "cliplens/model/hub_answer.h"

#include <algorithm>
#include <string_view>

#include "cliplens/base/error.h"
#include "cliplens/base/parse_number.h"
#include "cliplens/io/json.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/hub_cache.h"

namespace cliplens {
namespace {

constexpr Index kMostListingValues = Index{1} << 20;
// The largest weights of open_clip take 10 GB.
constexpr Index kMostFileBytes = Index{1} << 40;

// What stands in quotation marks of an ETag.
std::string EtagOf(std::string_view header) {
  if (header.starts_with("W/")) header.remove_prefix(2);
  if (header.starts_with('"')) header.remove_prefix(1);
  if (header.ends_with('"')) header.remove_suffix(1);
  return std::string(header);
}

bool IsBlobName(std::string_view etag) {
  return !etag.empty() && etag.size() <= 128 && etag.front() != '.' &&
         std::ranges::all_of(etag, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '-' || c == '_' || c == '.';
         });
}

}  // namespace

HubListing ParseHubListing(std::string_view body, const std::string& where) {
  const Json json = ParseJson(body, where, kMostListingValues);
  HubListing listing{.commit = JsonField<std::string>(json, "sha", where), .files = {}};
  if (!IsHubCommit(listing.commit)) {
    throw Error(ErrorCode::kCorruptData, "{}: 'sha' is '{}', which is no commit; is this a hub?",
                where, Printable(listing.commit, 60));
  }
  for (const Json& file : JsonList(json, "siblings", where)) {
    listing.files.insert(JsonField<std::string>(file, "rfilename", where));
  }
  return listing;
}

HubFile ParseHubFile(const HttpAnswer& answer, const std::string& file, const std::string& what,
                     const std::string& commit) {
  HubFile out{.name = file, .etag = EtagOf(answer.Header("x-linked-etag"))};
  if (out.etag.empty()) out.etag = EtagOf(answer.Header("etag"));
  if (!IsBlobName(out.etag)) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the hub names its bytes '{}', which is no ETag; is {} of a hub?", what,
                Printable(out.etag, 80), UrlText(answer.url));
  }
  const std::string got = answer.Header("x-repo-commit");
  if (!got.empty() && got != commit) {
    throw Error(ErrorCode::kCorruptData, "{}: is of commit {}, {} was asked for; run again", what,
                Printable(got, 60), commit);
  }
  std::string size = answer.Header("x-linked-size");
  if (size.empty() && !IsHttpRedirect(answer.status)) size = answer.Header("content-length");
  out.size = std::max<Index>(ParseNumber<Index>(size).value_or(-1), -1);
  if (out.size > kMostFileBytes) {
    throw Error(ErrorCode::kExhausted, "{}: has {} bytes, at most {} are fetched", what, out.size,
                kMostFileBytes);
  }
  return out;
}

void ThrowHubRefusal(const HttpAnswer& answer, const std::string& what, const HubPlace& place) {
  const std::string reason = answer.Header("x-error-code");
  const bool token = place.has_token;
  const std::string give =
      token ? "give another token, this one may not read it or has expired: HF_TOKEN=hf_..."
            : "give a token: HF_TOKEN=hf_..., or the file " + place.token_file;
  switch (answer.status) {
    case 401:
    case 403:
      if (reason == "GatedRepo") {
        throw Error(ErrorCode::kPrecondition, "{}: is gated ({}): accept its terms at {} and {}",
                    what, answer.status, place.page, give);
      }
      throw Error(ErrorCode::kPrecondition,
                  "{}: the hub does not show it ({}): it is private, or there is no such "
                  "repository; check the name, or {}",
                  what, answer.status, give);
    case 404:
      if (reason == "RevisionNotFound") {
        throw Error(ErrorCode::kNotFound, "{}: has no revision '{}'; its revisions are at {}", what,
                    place.revision, place.page);
      }
      throw Error(ErrorCode::kNotFound, "{}: there is no such model at {} (404); check the name",
                  what, place.page);
    case 429: {
      const std::string wait = answer.Header("retry-after");
      throw Error(ErrorCode::kExhausted,
                  "{}: the hub refuses further requests (429{}); run again later{}", what,
                  wait.empty() ? "" : ", Retry-After " + Printable(wait, 40),
                  token ? "" : ", or " + give);
    }
    default:
      throw Error(ErrorCode::kPrecondition,
                  "{}: the hub answers with status {} ({}); run again later, what has come is kept",
                  what, answer.status, UrlText(answer.url));
  }
}

}  // namespace cliplens
