#include "cliplens/model/character_map.h"

#include <cstring>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr int kMostMatches = 32;

// A unit of the double array (Darts): the byte that leads to it, where its children lie, and
// whether one of them is a value; or, with the top bit, a value.
constexpr std::uint32_t kIsValue = 0x80000000u;
std::uint32_t LabelOf(std::uint32_t unit) { return unit & (kIsValue | 0xFFu); }
bool HasValue(std::uint32_t unit) { return (unit >> 8 & 1u) != 0; }
std::uint32_t OffsetOf(std::uint32_t unit) { return unit >> 10 << ((unit & 0x200u) >> 6); }

}  // namespace

CharacterMap CharacterMap::Parse(std::string_view bytes, const std::string& name) {
  CharacterMap map;
  if (bytes.empty()) return map;
  std::uint32_t size = 0;
  if (bytes.size() > sizeof size) std::memcpy(&size, bytes.data(), sizeof size);
  if (size == 0 || size % sizeof size != 0 || size >= bytes.size() - sizeof size) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the map of characters is damaged ({} bytes say that {} are its array); fetch "
                "the file again",
                name, bytes.size(), size);
  }
  map.units_.resize(size / sizeof size);
  std::memcpy(map.units_.data(), bytes.data() + sizeof size, size);
  map.replacements_ = bytes.substr(sizeof size + size);
  map.Check(name);
  for (char c = 0x20; c < 0x7F; ++c) {
    if (map.Shortest(std::string_view(&c, 1)).length > 0) map.keeps_ascii_ = false;
  }
  return map;
}

void CharacterMap::Check(const std::string& name) const {
  const auto damaged = [&](std::string_view what) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the map of characters is damaged ({}); fetch the file again", name, what);
  };
  if (replacements_.back() != '\0') damaged("its last replacement has no end");
  if (FindInvalidUtf8(replacements_) != std::string_view::npos) {
    damaged("its replacements are not UTF-8");
  }
  // Each place is visited once, however often the array leads there.
  std::vector<bool> seen(units_.size());
  std::vector<std::uint32_t> open{OffsetOf(units_[0])};
  while (!open.empty()) {
    const std::uint32_t base = open.back();
    open.pop_back();
    if (base >= units_.size()) damaged("its array leads out of itself");
    if (seen[base]) continue;
    seen[base] = true;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t at = base ^ byte;
      if (at >= units_.size()) damaged("its array ends within a block");
      const std::uint32_t unit = units_[at];
      if (LabelOf(unit) != byte) continue;
      const std::uint32_t children = at ^ OffsetOf(unit);
      if (children >= units_.size()) damaged("its array leads out of itself");
      if (HasValue(unit)) {
        const std::uint32_t value = units_[children] & ~kIsValue;
        if (value >= replacements_.size() ||
            (static_cast<unsigned char>(replacements_[value]) & 0xC0u) == 0x80) {
          damaged("a replacement lies outside, or begins within a character");
        }
      }
      open.push_back(children);
    }
  }
}

std::string_view CharacterMap::Replacement(std::uint32_t value) const {
  const std::string_view rest = std::string_view(replacements_).substr(value);
  return rest.substr(0, rest.find('\0'));
}

CharacterMap::Match CharacterMap::Find(std::string_view text, int most) const {
  Match match;
  if (units_.empty()) return match;
  std::uint32_t base = OffsetOf(units_[0]);
  std::uint32_t value = 0;
  int matches = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::uint32_t at = base ^ byte;
    const std::uint32_t unit = units_[at];
    if (LabelOf(unit) != byte) break;
    base = at ^ OffsetOf(unit);
    if (!HasValue(unit)) continue;
    match.length = i + 1;
    value = units_[base] & ~kIsValue;
    if (++matches == most) break;
  }
  if (match.length > 0) match.replacement = Replacement(value);
  return match;
}

CharacterMap::Match CharacterMap::Longest(std::string_view text) const {
  return Find(text, kMostMatches);
}
CharacterMap::Match CharacterMap::Shortest(std::string_view text) const { return Find(text, 1); }

}  // namespace cliplens
