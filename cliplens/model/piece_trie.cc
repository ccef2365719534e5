#include "cliplens/model/piece_trie.h"

#include <algorithm>
#include <limits>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"

namespace cliplens {

PieceTrie::PieceTrie(std::vector<std::pair<std::string_view, std::int32_t>> pieces) {
  std::stable_sort(pieces.begin(), pieces.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::size_t kept = 0;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const bool again = i + 1 < pieces.size() && pieces[i + 1].first == pieces[i].first;
    if (again || pieces[i].first.empty()) continue;
    bytes += pieces[i].first.size();
    pieces[kept++] = pieces[i];
  }
  pieces.resize(kept);
  if (bytes >= std::numeric_limits<std::uint32_t>::max()) {
    throw Error(ErrorCode::kExhausted, "a vocabulary of {} bytes is longer than can be searched",
                bytes);
  }

  // A node stands for the pieces [begin, end), which share their first `depth` bytes.
  struct Range {
    std::uint32_t begin, end, depth;
  };
  std::vector<Range> level{{0, static_cast<std::uint32_t>(kept), 0}};
  std::vector<Range> next;
  labels_.push_back(0);
  values_.push_back(kNoValue);
  while (!level.empty()) {
    next.clear();
    for (Range range : level) {
      first_child_.push_back(static_cast<std::uint32_t>(labels_.size()));
      if (range.begin < range.end && pieces[range.begin].first.size() == range.depth) ++range.begin;
      while (range.begin < range.end) {
        const char byte = pieces[range.begin].first[range.depth];
        std::uint32_t end = range.begin + 1;
        while (end < range.end && pieces[end].first[range.depth] == byte) ++end;
        const bool whole = pieces[range.begin].first.size() == range.depth + 1;
        labels_.push_back(static_cast<std::uint8_t>(byte));
        values_.push_back(whole ? pieces[range.begin].second : kNoValue);
        next.push_back({range.begin, end, range.depth + 1});
        range.begin = end;
      }
    }
    level.swap(next);
  }
  first_child_.push_back(static_cast<std::uint32_t>(labels_.size()));
  for (std::uint32_t child = first_child_[0]; child < first_child_[1]; ++child) {
    of_root_[labels_[child]] = child;
  }
}

std::uint32_t PieceTrie::Child(std::uint32_t node, std::uint8_t byte) const {
  if (node == 0) return of_root_[byte];
  const auto begin = labels_.begin() + first_child_[node];
  const auto end = labels_.begin() + first_child_[node + 1];
  const auto found = std::lower_bound(begin, end, byte);
  return found != end && *found == byte ? static_cast<std::uint32_t>(found - labels_.begin()) : 0;
}

std::optional<std::int32_t> PieceTrie::Find(std::string_view text) const {
  std::uint32_t node = 0;
  for (const char c : text) {
    node = Child(node, static_cast<std::uint8_t>(c));
    if (node == 0) return std::nullopt;
  }
  if (text.empty() || values_[node] == kNoValue) return std::nullopt;
  return values_[node];
}

}  // namespace cliplens
