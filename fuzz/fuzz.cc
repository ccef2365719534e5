#include "fuzz/fuzz.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cliplens/base/array.h"
#include "cliplens/io/printable.h"

namespace cliplens::fuzz {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxMessageBytes = 4'096;
constexpr std::string_view kPartMark = "--- ";

[[noreturn]] void Stop(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

// Made at the first use, removed when the process ends.
class Directory {
 public:
  Directory() {
    std::string pattern = (fs::temp_directory_path() / "cliplens-fuzz-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) Stop("mkdtemp failed in " + pattern);
    path_ = pattern;
  }
  ~Directory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

const fs::path& DirectoryPath() {
  static const Directory directory;
  return directory.path();
}

std::vector<fs::path>& Written() {
  static std::vector<fs::path> written;
  return written;
}

}  // namespace

std::map<std::string, Target>& Targets() {
  static std::map<std::string, Target> targets;
  return targets;
}

bool& Accepted() {
  static bool accepted = false;
  return accepted;
}

void CheckMessage(const Error& error) {
  const std::string_view what = error.what();
  if (what.empty()) Stop("an error without a message");
  if (what.size() > kMaxMessageBytes) {
    Stop("a message of " + std::to_string(what.size()) + " bytes: " + Printable(what, 400));
  }
  if (Printable(what, 2 * kMaxMessageBytes) != what) {
    Stop("a message that is not printable: " + Printable(what, 4 * kMaxMessageBytes));
  }
}

Scratch::Scratch() = default;

Scratch::~Scratch() {
  for (const fs::path& file : Written()) ::unlink(file.c_str());
  Written().clear();
}

const fs::path& Scratch::path() const { return DirectoryPath(); }

fs::path Scratch::Write(const std::string& name, std::span<const std::uint8_t> bytes) const {
  const fs::path path = DirectoryPath() / name;
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) Stop("cannot create " + path.string());
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0) Stop("cannot write " + path.string());
    bytes = bytes.subspan(ToSize(written));
  }
  ::close(file);
  Written().push_back(path);
  return path;
}

fs::path Scratch::Write(const std::string& name, std::string_view text) const {
  return Write(name, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

std::map<std::string, std::string> SplitParts(std::span<const std::uint8_t> input,
                                              std::initializer_list<std::string_view> names) {
  std::map<std::string, std::string> parts;
  const std::string_view text = AsText(input);
  std::string* part = nullptr;
  std::size_t begin = 0;  // of what has not been given to a part yet
  const auto give = [&](std::size_t end) {
    if (part != nullptr && end > begin) *part = text.substr(begin, end - begin);
  };
  for (std::size_t line = 0; line < text.size();) {
    const std::size_t end = std::min(text.find('\n', line), text.size());
    const std::string_view content = text.substr(line, end - line);
    if (content.starts_with(kPartMark)) {
      const std::string_view name = content.substr(kPartMark.size());
      if (std::find(names.begin(), names.end(), name) != names.end()) {
        give(line == 0 ? 0 : line - 1);
        part = &parts[std::string(name)];
        part->clear();
        begin = std::min(end + 1, text.size());
      }
    }
    line = end + 1;
  }
  give(text.size());
  return parts;
}

}  // namespace cliplens::fuzz
