// What a hub says, taken apart: the listing of a repository, the headers of a file, refusals.
//
//   const HubListing listing = ParseHubListing(answer.body, UrlText(answer.url));
//   const HubFile file = ParseHubFile(head, "config.json", "hf:a/b: config.json", listing.commit);
//   Use(file.etag, file.size);
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "cliplens/base/index.h"
#include "cliplens/io/http_answer.h"

namespace cliplens {

struct HubListing {
  std::string commit;           // 40 hexadecimal digits
  std::set<std::string> files;  // any names
};
// Throws Error(kCorruptData) for what is no listing, Error(kExhausted) for more than 2^20 values.
HubListing ParseHubListing(std::string_view body, const std::string& where);

struct HubFile {
  std::string name;  // in the repository
  std::string etag;  // of its bytes: SHA-256, or what git gives; a plain name of a file
  Index size = -1;   // in bytes; -1: the hub does not say
};
// What the headers of an answer, 200 or a redirect, say of a file. Throws Error(kCorruptData) for
// an ETag that is none and for another commit than `commit`, Error(kExhausted) for more than 2^40
// bytes. `what` is the file, for messages.
HubFile ParseHubFile(const HttpAnswer& answer, const std::string& file, const std::string& what,
                     const std::string& commit);

// Where something was asked for, for messages.
struct HubPlace {
  std::string page;        // of the repository, for people
  std::string revision;    // that was asked for
  std::string token_file;  // where a token may lie
  bool has_token = false;  // one was sent
};
// Throws what an answer means that brings nothing: Error(kNotFound), Error(kPrecondition) where a
// token or another is wanted, or Error(kExhausted) where the hub wants us to wait.
[[noreturn]] void ThrowHubRefusal(const HttpAnswer& answer, const std::string& what,
                                  const HubPlace& place);

}  // namespace cliplens
