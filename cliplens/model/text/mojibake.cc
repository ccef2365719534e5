#include "cliplens/model/text/mojibake.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/model/text/class_table.h"
#include "cliplens/model/text/unicode.h"

namespace cliplens {
namespace {

// A single-byte encoding whose lower half is ASCII.
struct CodePage {
  const char* name;
  bool sloppy;                           // unassigned bytes are themselves; 0x1A is U+FFFD
  std::array<std::uint16_t, 128> upper;  // the characters of the bytes 0x80 to 0xFF
};

#include "cliplens/model/text/mojibake_tables.inc"

constexpr unsigned char kSubstitute = 0x1A;  // stands for a byte that was lost
constexpr std::string_view kReplacementUtf8 = "\xEF\xBF\xBD";

// Bits of kClueBits.
constexpr unsigned kContinuation = 1;
constexpr unsigned kStrictContinuation = 2;
constexpr unsigned kFirstOf2 = 4;
constexpr unsigned kFirstOf3 = 8;
constexpr unsigned kFirstOf4 = 16;

std::uint8_t MojibakeClass(char32_t c) {
  static const ClassTable table(kMojibakeClasses);
  return table[c];
}

bool HasClue(char32_t c, unsigned clue) { return (kClueBits[MojibakeClass(c)] & clue) != 0; }

bool IsAscii(std::u32string_view text) {
  return std::all_of(text.begin(), text.end(), [](char32_t c) { return c < 0x80; });
}

// Whether a sequence of characters stands in the text that hardly anybody would write.
bool IsBad(std::u32string_view text) {
  constexpr std::uint8_t kFound = 1;
  std::uint8_t state = 0;
  for (char32_t c : text) {
    state = kBadness[state][MojibakeClass(c)];
    if (state == kFound) return true;
  }
  return false;
}

bool IsLatin1(std::u32string_view text) {
  return std::all_of(text.begin(), text.end(), [](char32_t c) { return c < 0x100; });
}

std::string EncodeLatin1(std::u32string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (char32_t c : text) bytes.push_back(static_cast<char>(c));
  return bytes;
}

// The bytes that read as `text` in the encoding, if there are any.
std::optional<std::string> Encode(std::u32string_view text, std::size_t page) {
  using ByteOf = std::unordered_map<char32_t, unsigned char>;
  static const std::vector<ByteOf> byte_of = [] {
    std::vector<ByteOf> pages;
    for (const CodePage& code_page : kCodePages) {
      ByteOf& map = pages.emplace_back();
      for (std::size_t i = 0; i < code_page.upper.size(); ++i) {
        map.emplace(code_page.upper[i], static_cast<unsigned char>(0x80 + i));
      }
      if (code_page.sloppy) map.emplace(kReplacement, kSubstitute);
    }
    return pages;
  }();
  const bool sloppy = kCodePages[page].sloppy;
  std::string bytes;
  bytes.reserve(text.size());
  for (char32_t c : text) {
    if (c < 0x80 && !(sloppy && c == kSubstitute)) {
      bytes.push_back(static_cast<char>(c));
      continue;
    }
    const auto found = byte_of[page].find(c);
    if (found == byte_of[page].end()) return std::nullopt;
    bytes.push_back(static_cast<char>(found->second));
  }
  return bytes;
}

// The bytes of a text at a position; past the end a value that no test accepts.
class Bytes {
 public:
  Bytes(std::string_view text, std::size_t at) : text_(text), at_(at) {}
  unsigned operator[](std::size_t i) const {
    return at_ + i < text_.size() ? static_cast<unsigned char>(text_[at_ + i]) : 0x100u;
  }

 private:
  std::string_view text_;
  std::size_t at_;
};

bool In(unsigned byte, unsigned first, unsigned last) { return byte >= first && byte <= last; }
bool IsContinuation(unsigned byte) { return In(byte, 0x80, 0xBF); }

// The length of a UTF-8 sequence at `at` in which one byte A0, a non-breaking space, was turned
// into a plain space; 0 if there is none. Only sequences that make a likely character count.
std::size_t SpacedSequence(std::string_view text, std::size_t at) {
  const Bytes b(text, at);
  const auto other = [](unsigned byte) {  // a continuation that is no space or line end itself
    return IsContinuation(byte) && byte != 0x85 && byte != 0xA0;
  };
  switch (b[0]) {
    case 0xC2:
    case 0xC3:
    case 0xC5:
    case 0xCE:
    case 0xD0:
    case 0xD9:
      return b[1] == ' ' ? 2 : 0;
    case 0xE0:
    case 0xE1:
      return other(b[1]) && b[2] == ' ' ? 3 : 0;
    case 0xE2:
    case 0xE3:
      return (b[1] == ' ' && other(b[2])) || (other(b[1]) && b[2] == ' ') ? 3 : 0;
    case 0xF0: {
      const auto is = [&](std::size_t space) {
        for (std::size_t i = 1; i <= 3; ++i) {
          if (i == space ? b[i] != ' ' : !IsContinuation(b[i])) return false;
        }
        return true;
      };
      return is(1) || is(2) || is(3) ? 4 : 0;
    }
    default:
      return 0;
  }
}

// Puts the bytes A0 back. "à" that stood alone keeps the space behind it.
std::string RestoreSpaces(const std::string& text) {
  std::string with_words;
  with_words.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    with_words.push_back(text[i]);
    if (text[i] != '\xC3' || i + 1 >= text.size() || text[i + 1] != ' ') continue;
    const std::string_view rest = std::string_view(text).substr(i + 2);
    // Portuguese words that begin with à, where the space is a part of the letter alone.
    const bool joined = rest.starts_with(' ') || rest.starts_with("quele") ||
                        rest.starts_with("quela") || rest.starts_with("quilo") ||
                        rest.starts_with("s ");
    if (!joined) with_words.push_back('\xA0');
  }
  std::string out;
  out.reserve(with_words.size());
  for (std::size_t i = 0; i < with_words.size();) {
    const std::size_t length = std::max<std::size_t>(SpacedSequence(with_words, i), 1);
    for (std::size_t k = 0; k < length; ++k, ++i) {
      out.push_back(length > 1 && with_words[i] == ' ' ? '\xA0' : with_words[i]);
    }
  }
  return out;
}

// The length of a UTF-8 or CESU-8 sequence of which some bytes were lost (0x1A, or once '?').
std::size_t LossySequence(std::string_view text, std::size_t at) {
  const Bytes b(text, at);
  const auto lost = [](unsigned byte) { return byte == kSubstitute || byte == '?'; };
  const auto any = [](unsigned byte) { return byte == kSubstitute || IsContinuation(byte); };
  const auto any_or_query = [&](unsigned byte) { return byte == '?' || any(byte); };
  if (In(b[0], 0xC2, 0xDF) && b[1] == kSubstitute) return 2;
  if (In(b[0], 0xC2, 0xC3) && b[1] == '?') return 2;
  if (b[0] == 0xED && In(b[1], 0xA0, 0xAF) && b[3] == 0xED && In(b[4], 0xB0, 0xBF) &&
      ((lost(b[2]) && any_or_query(b[5])) || (any_or_query(b[2]) && lost(b[5])))) {
    return 6;
  }
  if (In(b[0], 0xE0, 0xEF) && ((lost(b[1]) && any(b[2])) || (any(b[1]) && lost(b[2])))) return 3;
  if (In(b[0], 0xF0, 0xF4) &&
      ((lost(b[1]) && any(b[2]) && any(b[3])) || (any(b[1]) && lost(b[2]) && any(b[3])) ||
       (any(b[1]) && any(b[2]) && lost(b[3])))) {
    return 4;
  }
  return b[0] == kSubstitute ? 1 : 0;
}

std::string ReplaceLossySequences(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = LossySequence(text, i);
    if (length > 0) {
      out += kReplacementUtf8;
      i += length;
    } else {
      out.push_back(text[i++]);
    }
  }
  return out;
}

// Decodes UTF-8 in which characters above U+FFFF may be written as two surrogates (CESU-8) and
// U+0000 as C0 80 (Java). As the reference does, C0 in front of the last line end counts too.
std::optional<std::u32string> DecodeVariants(std::string_view text) {
  std::u32string out;
  // Where a pattern's end-of-text test holds: at the end and in front of a newline there.
  const auto at_end = [&](std::size_t i) {
    return i == text.size() || (i + 1 == text.size() && text[i] == '\n');
  };
  std::size_t plain = 0;  // what stands before the next special sequence begins here
  const auto flush = [&](std::size_t end) {
    return AppendDecodedUtf8(text.substr(plain, end - plain), out) == std::string_view::npos;
  };
  for (std::size_t i = 0; i < text.size();) {
    const Bytes b(text, i);
    if (b[0] == 0xC0 && (b[1] == 0x80 || at_end(i + 1)) && i + 1 < text.size()) {
      if (!flush(i)) return std::nullopt;
      out.push_back(0);
      i += 2;
      plain = i;
    } else if (b[0] == 0xED && i + 6 <= text.size() && In(b[1], 0xA0, 0xAF) &&
               IsContinuation(b[2]) && b[3] == 0xED && In(b[4], 0xB0, 0xBF) &&
               (IsContinuation(b[5]) || at_end(i + 5))) {
      if (!flush(i)) return std::nullopt;
      out.push_back(
          (((b[1] & 0x0F) << 16) | ((b[2] & 0x3F) << 10) | ((b[4] & 0x0F) << 6) | (b[5] & 0x3F)) +
          0x10000);
      i += 6;
      plain = i;
    } else {
      ++i;
    }
  }
  if (!flush(text.size())) return std::nullopt;
  return out;
}

std::optional<std::u32string> DecodeBytes(std::string_view bytes) {
  if (bytes.find('\xED') != bytes.npos || bytes.find('\xC0') != bytes.npos) {
    return DecodeVariants(bytes);
  }
  std::u32string out;
  if (AppendDecodedUtf8(bytes, out) != std::string_view::npos) return std::nullopt;
  return out;
}

// The text that `bytes` make as UTF-8 after the repairs that belong to the encoding.
std::optional<std::u32string> Reread(std::string bytes, bool restore_spaces, bool sloppy) {
  if (restore_spaces) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (SpacedSequence(bytes, i) > 0) {
        bytes = RestoreSpaces(bytes);
        break;
      }
    }
  }
  if (sloppy) bytes = ReplaceLossySequences(bytes);
  return DecodeBytes(bytes);
}

// The end of the run of character sequences at `at` that would be UTF-8; `at` if there is none.
std::size_t DetectUtf8(std::u32string_view text, std::size_t at) {
  std::size_t i = at;
  while (i < text.size()) {
    const std::size_t length = HasClue(text[i], kFirstOf2)   ? 2
                               : HasClue(text[i], kFirstOf3) ? 3
                               : HasClue(text[i], kFirstOf4) ? 4
                                                             : 0;
    if (length == 0 || i + length > text.size()) break;
    bool whole = true;
    for (std::size_t k = 1; k < length; ++k) whole = whole && HasClue(text[i + k], kContinuation);
    if (!whole) break;
    i += length;
  }
  return i;
}

// Repairs the parts of a text that are mojibake by themselves.
std::u32string FixParts(std::u32string_view text, RepairBudget& budget) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const bool garbled_before = i > 0 && HasClue(text[i - 1], kStrictContinuation);
    const std::size_t end = garbled_before ? i : DetectUtf8(text, i);
    if (end == i) {
      out.push_back(text[i++]);
      continue;
    }
    const std::u32string_view part = text.substr(i, end - i);
    if (part.size() < text.size() && IsBad(part)) {
      out += FixEncoding(std::u32string(part), budget);
    } else {
      out += part;
    }
    i = end;
  }
  return out;
}

char32_t Windows1252(char32_t c1) { return kCodePages[0].upper[c1 - 0x80]; }
bool IsC1(char32_t c) { return c >= 0x80 && c <= 0x9F; }

// One step towards the repaired text; the same text when there is none.
std::u32string FixOneStep(const std::u32string& text, RepairBudget& budget) {
  if (IsAscii(text) || !IsBad(text)) return text;

  const bool latin1 = IsLatin1(text);
  if (latin1) {
    if (auto fixed = Reread(EncodeLatin1(text), true, false)) return *fixed;
  }
  for (std::size_t page = 0; page < std::size(kCodePages); ++page) {
    std::optional<std::string> bytes = Encode(text, page);
    if (!bytes) continue;
    // In Mac Roman the bytes of a spaced sequence are also those of a dash in front of a space.
    const bool restore_spaces = std::string_view(kCodePages[page].name) != "macroman";
    if (auto fixed = Reread(std::move(*bytes), restore_spaces, kCodePages[page].sloppy)) {
      return *fixed;
    }
  }

  std::u32string fixed = FixParts(text, budget);
  if (fixed != text) return fixed;

  // What is left may be Windows-1252 that was read as Latin-1.
  FixC1Controls(fixed);
  return fixed;
}

}  // namespace

RepairBudget::RepairBudget(std::size_t length) {
  constexpr std::size_t kPasses = 64;  // whatever the length; ordinary text needs two or three
  constexpr std::size_t kCharacters = std::size_t{64} << 20;  // in passes over shorter texts
  left_ = std::max(kCharacters, kPasses * length);
}

void RepairBudget::Spend(std::size_t length) {
  if (length > left_) {
    throw Error(ErrorCode::kExhausted,
                "a text of {} characters changes with every repair, again and again; shorten it or "
                "resolve its character references (&amp;) first",
                length);
  }
  left_ -= length;
}

std::u32string FixEncoding(std::u32string text, RepairBudget& budget) {
  while (true) {
    budget.Spend(text.size());
    std::u32string fixed = FixOneStep(text, budget);
    if (fixed == text) return text;
    text = std::move(fixed);
  }
}

void FixC1Controls(std::u32string& text) {
  for (char32_t& c : text) {
    if (IsC1(c)) c = Windows1252(c);
  }
}

}  // namespace cliplens
