#include "cliplens/model/text_clean.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "cliplens/model/text/html_entities.h"
#include "cliplens/model/text/mojibake.h"
#include "cliplens/model/text/unicode.h"

namespace cliplens {
namespace {

bool InRange(char32_t c, char32_t first, char32_t last) { return c >= first && c <= last; }

// Control characters, deprecated format characters, annotations and the byte order mark, none of
// which shows.
bool IsRemoved(char32_t c) {
  return c <= 0x08 || c == 0x0B || InRange(c, 0x0E, 0x1F) || c == 0x7F ||
         InRange(c, 0x206A, 0x206F) || c == 0xFEFF || InRange(c, 0xFFF9, 0xFFFC);
}

// The letters of a Latin ligature or digraph; empty for other characters.
std::u32string_view LigatureLetters(char32_t c) {
  switch (c) {
    case 0x132:
      return U"IJ";
    case 0x133:
      return U"ij";
    case 0x149:
      return U"\u02BCn";
    case 0x1C4:
      return U"D\u017D";
    case 0x1C5:
      return U"D\u017E";
    case 0x1C6:
      return U"d\u017E";
    case 0x1C7:
      return U"LJ";
    case 0x1C8:
      return U"Lj";
    case 0x1C9:
      return U"lj";
    case 0x1CA:
      return U"NJ";
    case 0x1CB:
      return U"Nj";
    case 0x1CC:
      return U"nj";
    case 0x1F1:
      return U"DZ";
    case 0x1F2:
      return U"Dz";
    case 0x1F3:
      return U"dz";
    case 0xFB00:
      return U"ff";
    case 0xFB01:
      return U"fi";
    case 0xFB02:
      return U"fl";
    case 0xFB03:
      return U"ffi";
    case 0xFB04:
      return U"ffl";
    case 0xFB05:
      return U"\u017Ft";
    case 0xFB06:
      return U"st";
    default:
      return {};
  }
}

constexpr char32_t kFirstWide = 0xFF01;
constexpr char32_t kLastWide = 0xFFEF;

// The ordinary form of a fullwidth or halfwidth character.
const std::u32string& OrdinaryWidth(char32_t c) {
  static const std::vector<std::u32string> forms = [] {
    std::vector<std::u32string> table;
    for (char32_t wide = kFirstWide; wide <= kLastWide; ++wide) {
      table.push_back(CompatibilityForm(wide));
    }
    return table;
  }();
  return forms[c - kFirstWide];
}

char32_t Straighten(char32_t c) {
  if (c == 0x2BC || InRange(c, 0x2018, 0x201B)) return U'\'';
  if (InRange(c, 0x201C, 0x201F)) return U'"';
  return c;
}

// Characters that stand for others, one by one: ligatures, then width, then quotes.
std::u32string ReplaceCharacters(std::u32string_view text) {
  constexpr char32_t kIdeographicSpace = 0x3000;
  std::u32string out;
  out.reserve(text.size() + 8);
  for (char32_t c : text) {
    if (c < 0x100) {
      out.push_back(c);
    } else if (const std::u32string_view letters = LigatureLetters(c); !letters.empty()) {
      for (char32_t letter : letters) out.push_back(Straighten(letter));
    } else if (c == kIdeographicSpace) {
      out.push_back(U' ');
    } else if (InRange(c, kFirstWide, kLastWide)) {
      for (char32_t ordinary : OrdinaryWidth(c)) out.push_back(Straighten(ordinary));
    } else {
      out.push_back(Straighten(c));
    }
  }
  return out;
}

// Every kind of line end becomes "\n".
std::u32string FixLineEnds(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    if (c == U'\r' && i + 1 < text.size() && text[i + 1] == U'\n') continue;
    out.push_back(c == U'\r' || c == 0x85 || c == 0x2028 || c == 0x2029 ? U'\n' : c);
  }
  return out;
}

// Removes what sets the colour of a terminal: ESC [ digits and semicolons, a letter.
std::u32string RemoveTerminalEscapes(std::u32string_view text) {
  constexpr char32_t kEscape = 0x1B;
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == kEscape && i + 1 < text.size() && text[i + 1] == U'[') {
      std::size_t end = i + 2;
      while (end < text.size() &&
             (text[end] == U';' || (ClassOf(text[end]) & kDecimalDigit) != 0)) {
        ++end;
      }
      if (end < text.size() && IsAsciiLetter(text[end])) {
        i = end + 1;
        continue;
      }
    }
    out.push_back(text[i++]);
  }
  return out;
}

// Whether no repair can change the text: printable ASCII, tabs and newlines without a reference.
bool IsPlain(std::u32string_view text) {
  return std::all_of(text.begin(), text.end(), [](char32_t c) {
    return (c >= 0x20 && c < 0x7F && c != U'&') || c == U'\n' || c == U'\t' || c == U'\f';
  });
}

std::u32string FixSegment(std::u32string text, bool unescape, RepairBudget& budget) {
  if (IsPlain(text)) return text;
  while (true) {
    budget.Spend(text.size());
    std::u32string fixed =
        unescape && text.find(U'&') != text.npos ? UnescapeClosedHtml(text) : text;
    fixed = FixEncoding(std::move(fixed), budget);
    FixC1Controls(fixed);
    fixed = FixLineEnds(ReplaceCharacters(fixed));
    fixed = RemoveTerminalEscapes(fixed);
    std::erase_if(fixed, IsRemoved);
    fixed = NormalizeNfc(fixed);
    if (fixed == text) return fixed;
    text = std::move(fixed);
  }
}

}  // namespace

std::u32string FixText(std::u32string_view text) {
  // Lines are repaired one by one, a very long one in parts. From the first line with a "<" on
  // character references stay: the text is HTML.
  constexpr std::size_t kLongestSegment = 1'000'000;
  RepairBudget budget(text.size());
  std::u32string out;
  out.reserve(text.size());
  bool unescape = true;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = text.find(U'\n', begin);
    end = end == text.npos ? text.size() : end + 1;
    end = std::min(end, begin + kLongestSegment);
    const std::u32string_view segment = text.substr(begin, end - begin);
    if (segment.find(U'<') != segment.npos) unescape = false;
    out += FixSegment(std::u32string(segment), unescape, budget);
    begin = end;
  }
  return out;
}

std::u32string CleanText(std::string_view text) { return CleanText(text, TextCleaning::kLower); }

std::u32string CleanText(std::string_view text, TextCleaning cleaning) {
  if (cleaning == TextCleaning::kNone) return DecodeUtf8(text);
  std::u32string clean = FixText(DecodeUtf8(text));
  if (clean.find(U'&') != clean.npos) clean = UnescapeHtml(UnescapeHtml(clean));
  if (cleaning == TextCleaning::kCanonicalize) {
    std::replace(clean.begin(), clean.end(), U'_', U' ');
    RemoveAsciiPunctuation(clean);
    return JoinWords(Lower(clean));
  }
  clean = JoinWords(clean);
  return cleaning == TextCleaning::kLower ? Lower(clean) : clean;
}

void RemoveAsciiPunctuation(std::u32string& text) {
  std::erase_if(text, [](char32_t c) {
    return c > U' ' && c < 0x7F && !IsAsciiLetter(c) && !(c >= U'0' && c <= U'9');
  });
}

std::u32string JoinWords(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (char32_t c : text) {
    if (!IsSpace(c)) {
      out.push_back(c);
    } else if (!out.empty() && out.back() != U' ') {
      out.push_back(U' ');
    }
  }
  if (!out.empty() && out.back() == U' ') out.pop_back();
  return out;
}

}  // namespace cliplens
