#include "cliplens/io/digest.h"

#include <cerrno>
#include <memory>
#include <span>
#include <vector>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/open_file.h"

namespace cliplens {
namespace {

void CheckDigest(int good) {
  if (good != 1) {
    throw Error(ErrorCode::kExhausted,
                "OpenSSL gives no SHA-1 or SHA-256 here; allow them in its configuration");
  }
}

}  // namespace

std::string FileDigest(const std::filesystem::path& path, DigestKind kind, std::string_view prefix,
                       const std::function<void(Index)>& read) {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(),
                                                                   EVP_MD_CTX_free);
  CheckDigest(context != nullptr ? 1 : 0);
  CheckDigest(EVP_DigestInit_ex(context.get(),
                                kind == DigestKind::kSha1 ? EVP_sha1() : EVP_sha256(), nullptr));
  CheckDigest(EVP_DigestUpdate(context.get(), prefix.data(), prefix.size()));
  struct stat status;
  const Descriptor file = OpenForReading(path, FileKind::kRegular, &status);
  std::vector<std::uint8_t> part(std::size_t{1} << 20);
  while (true) {
    const ssize_t got = ::read(file.get(), part.data(), part.size());
    if (got < 0) {
      if (errno == EINTR) continue;
      ThrowFileError(path, "cannot read", errno);
    }
    if (got == 0) break;
    CheckDigest(EVP_DigestUpdate(context.get(), part.data(), ToSize(got)));
    if (read) read(got);
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CheckDigest(EVP_DigestFinal_ex(context.get(), digest, &size));
  std::string hex;
  for (const unsigned char byte : std::span(digest, size)) hex += fmt::format("{:02x}", byte);
  return hex;
}

}  // namespace cliplens
