// JSON documents that carry their own checksum, so that a changed byte anywhere in them is noticed.
//
//   WriteFileAtomically("manifest.json", SealJson({{"format", "cliplens.store/3"}}));
//   const Json document = ReadSealedJson("manifest.json", 1 << 20);
//
// The last member is "checksum": XXH3-128 of the file's text with the 32 digits of the checksum
// itself written as zeros. It guards against accidents, not against attackers.
#pragma once

#include <filesystem>
#include <string>

#include "cliplens/io/json.h"

namespace cliplens {

// The document's text, indented by two, with its checksum. `document` is an object without a
// member "checksum".
std::string SealJson(Json document);

// The document without its checksum. Throws Error(kCorruptData) that names the file and both
// checksums if they differ. A document without a member "checksum" is an error too, unless the
// caller passes `unsealed` (for older formats): then the document is returned and `unsealed` set.
Json ReadSealedJson(const std::filesystem::path& path, Index max_bytes, bool* unsealed = nullptr);
// The same of a document's text; `name` stands in messages.
Json ParseSealedJson(std::string text, const std::string& name, bool* unsealed = nullptr);

}  // namespace cliplens
