#include "cliplens/io/sealed_json.h"

#include <string_view>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr char kChecksumMember[] = "checksum";
constexpr std::size_t kDigits = 32;
constexpr std::string_view kBefore = "\"checksum\": \"";
constexpr std::string_view kAfter = "\"\n}\n";

std::string Digest(std::string_view text) {
  Hasher hasher;
  hasher.Update(text);
  return hasher.Digest();
}

}  // namespace

std::string SealJson(Json document) {
  document[kChecksumMember] = std::string(kDigits, '0');
  std::string text = DumpJson(document, 2) + "\n";
  text.replace(text.size() - kAfter.size() - kDigits, kDigits, Digest(text));
  return text;
}

Json ReadSealedJson(const std::filesystem::path& path, Index max_bytes, bool* unsealed) {
  return ParseSealedJson(ReadTextFile(path, max_bytes), PathText(path), unsealed);
}

Json ParseSealedJson(std::string text, const std::string& name, bool* unsealed) {
  if (unsealed != nullptr) *unsealed = false;
  const std::size_t tail = kBefore.size() + kDigits + kAfter.size();
  const bool sealed = text.size() > tail && text.ends_with(kAfter) &&
                      std::string_view(text).substr(text.size() - tail, kBefore.size()) == kBefore;
  if (!sealed) {
    if (unsealed != nullptr) {
      Json document = ParseJson(text, name);
      *unsealed = !document.is_object() || !document.contains(kChecksumMember);
      if (*unsealed) return document;
    }
    throw Error(ErrorCode::kCorruptData,
                "{}: does not end in its checksum, so it was cut or changed; restore it from a "
                "copy or make it again",
                name);
  }
  const std::size_t at = text.size() - kAfter.size() - kDigits;
  const std::string said = text.substr(at, kDigits);
  text.replace(at, kDigits, std::string(kDigits, '0'));
  if (const std::string found = Digest(text); found != said) {
    throw Error(ErrorCode::kCorruptData,
                "{}: its checksum is {}, it says {}; it was changed or damaged: restore it from a "
                "copy or make it again",
                name, found, Printable(said));
  }
  Json document = ParseJson(text, name);
  if (document.is_object()) document.erase(kChecksumMember);
  return document;
}

}  // namespace cliplens
