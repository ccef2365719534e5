// A map of characters as sentencepiece compiles it ("precompiled_charsmap"): what each of some
// character sequences is replaced by.
//
//   const CharacterMap map = CharacterMap::Parse(model.character_map, "spiece.model");
//   const CharacterMap::Match match = map.Longest("\xEF\xAC\x81ne");   // the ligature fi
//   Print(match.length, match.replacement);                           // 3 fi
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cliplens {

// Immutable once built.
class CharacterMap {
 public:
  CharacterMap() = default;  // replaces nothing

  // The size of a double array (four bytes), the array (32-bit units, Darts), then the
  // replacements, each with a zero byte behind it. Every place that the array leads to is checked,
  // so look-ups need no checks. Throws Error(kCorruptData) naming `name`.
  static CharacterMap Parse(std::string_view bytes, const std::string& name);

  struct Match {
    std::size_t length = 0;  // of the sequence, in bytes; 0: none begins here
    std::string_view replacement;
  };
  // Of the sequences that `text` begins with: the longest of the first 32, as sentencepiece takes
  // it, and the shortest, as Hugging Face's tokenizers do.
  Match Longest(std::string_view text) const;
  Match Shortest(std::string_view text) const;

  bool empty() const { return units_.empty(); }
  // Whether each character from U+0020 to U+007E by itself stays as it is.
  bool keeps_ascii() const { return keeps_ascii_; }

 private:
  Match Find(std::string_view text, int most) const;
  void Check(const std::string& name) const;
  std::string_view Replacement(std::uint32_t value) const;

  std::vector<std::uint32_t> units_;
  std::string replacements_;
  bool keeps_ascii_ = true;
};

}  // namespace cliplens
