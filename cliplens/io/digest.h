// SHA-1 and SHA-256 of files, as others publish them. The only file that uses OpenSSL.
//
//   Print(FileDigest("open_clip_model.safetensors", DigestKind::kSha256));   // 64 digits
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "cliplens/base/index.h"

namespace cliplens {

enum class DigestKind { kSha1, kSha256 };

// The digest of `prefix` and the file's bytes behind it, in lower-case hexadecimal digits: 40 of
// SHA-1, 64 of SHA-256. `read` is told the bytes of each part that was read. Errors as ReadFile.
std::string FileDigest(const std::filesystem::path& path, DigestKind kind,
                       std::string_view prefix = {}, const std::function<void(Index)>& read = {});

}  // namespace cliplens
