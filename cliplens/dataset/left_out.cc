#include <algorithm>
#include <functional>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/ascii.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/io/file_name.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

// Of one folder; a folder of files that all end otherwise is counted by fewer.
constexpr std::size_t kMaxKinds = 64;
constexpr std::size_t kMaxEndingBytes = 16;
constexpr std::size_t kMaxUnreadLines = 20;

}  // namespace

void LeftOut::PassOver(std::string_view name) {
  const std::string lower = LowerAscii(BaseName(name));
  const std::string_view packed = PackedTarEnding(lower);
  const std::string ending = packed.empty() ? LastEnding(lower) : std::string(packed);
  if (lower.find('.') == std::string::npos) return PassOverKind("no ending");
  if (ending.empty() || ending.size() > kMaxEndingBytes) return PassOverKind("other endings");
  PassOverKind("." + NameText(ending));
}

void LeftOut::PassOverHidden(std::string_view name) {
  if (IsPictureEnding(LastEnding(name))) PassOverKind("hidden picture");
}

void LeftOut::PassOverKind(std::string kind, Index count) {
  if (count == 0) return;
  if (!passed_over.contains(kind) && passed_over.size() >= kMaxKinds) kind = "other endings";
  passed_over[std::move(kind)] += count;
}

Index LeftOut::files() const {
  Index files = 0;
  for (const auto& [kind, count] : passed_over) files += count;
  return files;
}

std::vector<std::string> LinesOf(const LeftOut& left_out) {
  std::vector<std::string> lines;
  if (const Index files = left_out.files(); files > 0) {
    std::vector<std::pair<std::string, Index>> kinds(left_out.passed_over.begin(),
                                                     left_out.passed_over.end());
    std::ranges::stable_sort(kinds, std::greater<>(), &std::pair<std::string, Index>::second);
    std::string text;
    for (const auto& [kind, count] : kinds) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", Printable(kind), count);
    }
    lines.push_back(fmt::format("{} other {} passed over: {}", files,
                                files == 1 ? "file was" : "files were", text));
  }
  for (const LeftOut::Unread& unread : left_out.unread) {
    if (&unread == left_out.unread.data() + kMaxUnreadLines) {
      lines.push_back(fmt::format("... and {} more that cannot be read",
                                  left_out.unread.size() - kMaxUnreadLines));
      break;
    }
    lines.push_back(unread.message);
  }
  lines.insert(lines.end(), left_out.notes.begin(), left_out.notes.end());
  return lines;
}

}  // namespace cliplens
