// Finds the pieces of a vocabulary that a text begins with.
//
//   const PieceTrie trie({{"\xE2\x96\x81" "ca", 5}, {"\xE2\x96\x81" "cat", 7}});
//   trie.ForPrefixes("\xE2\x96\x81" "cats", [](std::size_t length, std::int32_t value) {
//     Print(length, value);   // 5 5, then 6 7
//   });
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cliplens {

// Immutable once built. Nine bytes a node, and at most one node for each byte of the pieces.
class PieceTrie {
 public:
  PieceTrie() = default;  // no pieces
  // Of two equal pieces the later counts. Values are not negative; empty pieces are left out.
  explicit PieceTrie(std::vector<std::pair<std::string_view, std::int32_t>> pieces);

  // Calls `on_piece(length, value)` for each, the shortest first.
  template <typename OnPiece>
  void ForPrefixes(std::string_view text, OnPiece&& on_piece) const {
    std::uint32_t node = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      node = Child(node, static_cast<std::uint8_t>(text[i]));
      if (node == 0) return;
      if (values_[node] != kNoValue) on_piece(i + 1, values_[node]);
    }
  }

  // The value of the whole text as a piece.
  std::optional<std::int32_t> Find(std::string_view text) const;

 private:
  static constexpr std::int32_t kNoValue = -1;

  // 0 if there is none.
  std::uint32_t Child(std::uint32_t node, std::uint8_t byte) const;

  // Nodes level by level, so that the children of a node are one range and those of the next node
  // follow. Node 0 is the root.
  std::vector<std::uint8_t> labels_;
  std::vector<std::uint32_t> first_child_;  // [nodes + 1]
  std::vector<std::int32_t> values_;
  std::array<std::uint32_t, 256> of_root_{};
};

}  // namespace cliplens
