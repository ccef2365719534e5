// Mojibake: UTF-8 that was read in a single-byte encoding ("schÃ¶n" for "schön").
//
//   RepairBudget budget(/*length=*/7);
//   FixEncoding(U"schÃ¶n", budget);   // U"schön"
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cliplens {

// Bounds the work on text that is built to need repair after repair. Every pass over a text takes
// the text's length from the budget. Throws Error(kExhausted) when nothing is left.
class RepairBudget {
 public:
  explicit RepairBudget(std::size_t length);
  void Spend(std::size_t length);

 private:
  std::size_t left_;
};

// ftfy's fix_encoding (version 6.3.1, default options): finds text that looks like mojibake, tries
// ten encodings, restores non-breaking spaces and lost bytes on the way, and repeats until nothing
// changes. Text that does not look like it is returned as it is.
std::u32string FixEncoding(std::u32string text, RepairBudget& budget);

// C1 control characters become the Windows-1252 characters of their bytes.
void FixC1Controls(std::u32string& text);

}  // namespace cliplens
