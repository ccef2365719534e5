#include "cliplens/model/text_steps.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "cliplens/base/ascii.h"
#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/io/code_points.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/text/hugging_face.h"
#include "cliplens/model/text/unicode.h"

namespace cliplens {
namespace {

// The largest text that normalization may make.
constexpr std::size_t kMaxStepBytes = std::size_t{64} << 20;
// Steps within steps, and all of them.
constexpr std::size_t kMostSteps = 64;

void CheckStepBytes(const std::string& text) {
  if (text.size() <= kMaxStepBytes) return;
  throw Error(ErrorCode::kExhausted,
              "a text that its tokenizer makes longer than {} bytes, the most that are read",
              kMaxStepBytes);
}

bool IsAsciiText(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Whether every character is one of U+0020 to U+007E.
bool IsPlainText(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

std::u32string Decoded(std::string_view text) {
  std::u32string out;
  AppendDecodedUtf8(text, out);
  return out;
}

bool IsStepBlank(char32_t c) { return (BertClassOf(c) & kBertSpace) != 0; }

// Of the sequence that `text`, which is not empty, begins with.
std::size_t SequenceLength(std::string_view text) {
  return std::max<std::size_t>(Utf8SequenceLength(text), 1);
}

// Characters that BERT's tokenizer makes words of their own.
bool IsIdeograph(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

bool StepFlag(const Json& step, const char* key, bool fallback, const std::string& name) {
  const auto found = step.find(key);
  if (found == step.end() || found->is_null()) return fallback;
  return JsonField<bool>(step, key, name);
}

[[noreturn]] void RefuseStep(const Json& step, const char* what, const std::string& name) {
  throw Error(ErrorCode::kUnsupported,
              "{}: the {} {} is not followed; use the files of a model that is listed in "
              "docs/models.md",
              name, what, JsonExcerpt(step));
}

// What a pattern looks for: {"String": ...} or {"Regex": ...}.
std::string PatternText(const Json& step, const char* kind, const std::string& name) {
  const Json pattern = JsonField<Json>(step, "pattern", name);
  if (!pattern.is_object() || !pattern.contains(kind)) return "";
  return JsonField<std::string>(pattern, kind, name);
}

template <typename Value, std::size_t N>
Value Named(const Json& step, const char* key, const char* what,
            const std::array<std::pair<const char*, Value>, N>& names, const std::string& name) {
  const std::string text = JsonField<std::string>(step, key, name);
  for (const auto& [known, value] : names) {
    if (text == known) return value;
  }
  RefuseStep(step, what, name);
}

// Base64 with the usual 64 characters and = at the end.
std::string DecodeBase64(std::string_view text, const std::string& name) {
  std::string out;
  out.reserve(text.size() * 3 / 4);
  while (text.ends_with('=')) text.remove_suffix(1);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    std::uint32_t value = 0;
    if (c >= 'A' && c <= 'Z') {
      value = static_cast<std::uint32_t>(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
      value = static_cast<std::uint32_t>(c - 'a') + 26;
    } else if (c >= '0' && c <= '9') {
      value = static_cast<std::uint32_t>(c - '0') + 52;
    } else if (c == '+' || c == '/') {
      value = c == '+' ? 62 : 63;
    } else {
      throw Error(ErrorCode::kCorruptData,
                  "{}: 'precompiled_charsmap' is no base64; fetch the file again", name);
    }
    bits = bits << 6 | value;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<char>(bits >> count & 0xFF));
  }
  return out;
}

}  // namespace

void TextSteps::AddCharacterMap(std::string_view bytes, const std::string& name) {
  normalizers_.push_back({.change = Change::kMap, .map = CharacterMap::Parse(bytes, name)});
}

void TextSteps::AddNormalizer(const Json& step, const std::string& name) {
  if (step.is_null()) return;
  if (normalizers_.size() >= kMostSteps) {
    throw Error(ErrorCode::kExhausted, "{}: more than {} steps of normalization", name, kMostSteps);
  }
  const std::string type = JsonField<std::string>(step, "type", name);
  Normalizer out;
  if (type == "Sequence") {
    for (const Json& part : JsonList(step, "normalizers", name)) AddNormalizer(part, name);
    return;
  }
  constexpr std::array<std::pair<const char*, NormalForm>, 4> kForms = {
      {{"NFC", NormalForm::kC},
       {"NFD", NormalForm::kD},
       {"NFKC", NormalForm::kKC},
       {"NFKD", NormalForm::kKD}}};
  const auto form = std::find_if(kForms.begin(), kForms.end(),
                                 [&](const auto& known) { return type == known.first; });
  if (form != kForms.end()) {
    out.change = Change::kForm;
    out.form = form->second;
  } else if (type == "Lowercase") {
    out.change = Change::kLower;
  } else if (type == "Strip") {
    out.change = Change::kStrip;
    out.left = StepFlag(step, "strip_left", true, name);
    out.right = StepFlag(step, "strip_right", true, name);
  } else if (type == "Prepend") {
    out.change = Change::kPrepend;
    out.to = JsonField<std::string>(step, "prepend", name);
  } else if (type == "Precompiled") {
    out.change = Change::kMap;
    out.map = CharacterMap::Parse(
        DecodeBase64(JsonField<std::string>(step, "precompiled_charsmap", name), name), name);
  } else if (type == "BertNormalizer") {
    out.change = Change::kBert;
    out.clean = StepFlag(step, "clean_text", true, name);
    out.ideographs = StepFlag(step, "handle_chinese_chars", true, name);
    out.lower = StepFlag(step, "lowercase", true, name);
    out.marks = StepFlag(step, "strip_accents", out.lower, name);
  } else if (type == "Replace") {
    out.change = Change::kReplace;
    out.to = JsonField<std::string>(step, "content", name);
    out.from = PatternText(step, "String", name);
    const std::string expression = PatternText(step, "Regex", name);
    if (expression == " {2,}") {
      out.pattern = Pattern::kBlanks;
    } else if (expression == "\\s+") {
      out.pattern = Pattern::kWhiteSpace;
    } else if (out.from.empty()) {
      RefuseStep(step, "normalizer", name);
    }
  } else {
    RefuseStep(step, "normalizer", name);
  }
  normalizers_.push_back(std::move(out));
}

void TextSteps::AddSplit(const Json& step, const std::string& name) {
  if (step.is_null()) return;
  if (splitters_.size() >= kMostSteps) {
    throw Error(ErrorCode::kExhausted, "{}: more than {} steps of splitting", name, kMostSteps);
  }
  const std::string type = JsonField<std::string>(step, "type", name);
  Splitter out;
  if (type == "Sequence") {
    for (const Json& part : JsonList(step, "pretokenizers", name)) AddSplit(part, name);
    return;
  }
  if (type == "WhitespaceSplit") {
    out.cut = Cut::kWhiteSpace;
  } else if (type == "BertPreTokenizer") {
    out.cut = Cut::kBert;
  } else if (type == "Split") {
    constexpr std::array<std::pair<const char*, Join>, 5> kJoins = {
        {{"Removed", Join::kRemoved},
         {"Isolated", Join::kIsolated},
         {"MergedWithPrevious", Join::kPrevious},
         {"MergedWithNext", Join::kNext},
         {"Contiguous", Join::kContiguous}}};
    out.cut = Cut::kText;
    out.text = PatternText(step, "String", name);
    out.join = Named(step, "behavior", "pre-tokenizer", kJoins, name);
    if (out.text.empty() || StepFlag(step, "invert", false, name)) {
      RefuseStep(step, "pre-tokenizer", name);
    }
  } else if (type == "Metaspace") {
    constexpr std::array<std::pair<const char*, Prepend>, 3> kPrepends = {
        {{"always", Prepend::kAlways}, {"first", Prepend::kFirst}, {"never", Prepend::kNever}}};
    out.cut = Cut::kMetaspace;
    out.text = JsonField<std::string>(step, "replacement", name);
    if (out.text.empty() || Utf8SequenceLength(out.text) != out.text.size()) {
      RefuseStep(step, "pre-tokenizer", name);
    }
    if (step.contains("prepend_scheme")) {
      out.prepend = Named(step, "prepend_scheme", "pre-tokenizer", kPrepends, name);
    } else if (!StepFlag(step, "add_prefix_space", true, name)) {
      out.prepend = Prepend::kNever;
    }
    out.split = StepFlag(step, "split", true, name);
    out.join = Join::kNext;
  } else {
    RefuseStep(step, "pre-tokenizer", name);
  }
  splitters_.push_back(std::move(out));
}

// Graphemes of a few bytes are looked up whole, and then take the replacement of what they begin
// with; the characters of others are looked up one by one.
void TextSteps::ApplyMap(const CharacterMap& map, std::string& text) {
  constexpr std::size_t kWholeGrapheme = 6;
  if (map.empty() || (map.keeps_ascii() && IsPlainText(text))) return;
  const std::u32string characters = Decoded(text);
  std::u32string_view rest = characters;
  std::string out;
  out.reserve(text.size());
  std::string grapheme;
  while (!rest.empty()) {
    const std::size_t length = GraphemeLength(rest);
    grapheme.clear();
    for (const char32_t c : rest.substr(0, length)) AppendUtf8(c, grapheme);
    rest.remove_prefix(length);
    std::string_view part = grapheme;
    if (part.size() < kWholeGrapheme) {
      const CharacterMap::Match match = map.Shortest(part);
      if (match.length > 0) {
        out += match.replacement;
        continue;
      }
    }
    while (!part.empty()) {
      const std::string_view character = part.substr(0, SequenceLength(part));
      const CharacterMap::Match match = map.Shortest(character);
      out += match.length > 0 ? match.replacement : character;
      part.remove_prefix(character.size());
      CheckStepBytes(out);
    }
    CheckStepBytes(out);
  }
  text = std::move(out);
}

void TextSteps::ApplyBert(const Normalizer& step, std::string& text) {
  std::u32string out;
  out.reserve(text.size());
  for (const char32_t c : Decoded(text)) {
    if (step.clean && (BertClassOf(c) & kBertRemoved) != 0) continue;
    const char32_t cleaned = step.clean && IsStepBlank(c) ? U' ' : c;
    const bool apart = step.ideographs && IsIdeograph(cleaned);
    if (apart) out.push_back(U' ');
    out.push_back(cleaned);
    if (apart) out.push_back(U' ');
  }
  if (step.marks) {
    out = HuggingFaceForm(out, NormalForm::kD);
    std::erase_if(out, [](char32_t c) { return (BertClassOf(c) & kBertMark) != 0; });
  }
  text = EncodeUtf8(step.lower ? LowerForHuggingFace(out) : out);
}

void TextSteps::Replace(const Normalizer& step, std::string& text) {
  std::string out;
  out.reserve(text.size());
  std::string_view rest = text;
  if (step.pattern == Pattern::kText) {
    while (true) {
      const std::size_t found = std::min(rest.find(step.from), rest.size());
      out += rest.substr(0, found);
      if (found == rest.size()) break;
      out += step.to;
      rest.remove_prefix(found + step.from.size());
      CheckStepBytes(out);
    }
    text = std::move(out);
    return;
  }
  while (!rest.empty()) {
    std::size_t taken = 0;
    if (step.pattern == Pattern::kBlanks) {
      taken = std::min(rest.find_first_not_of(' '), rest.size());
      if (taken < 2) taken = 0;
    } else {
      while (taken < rest.size()) {
        const std::size_t length = SequenceLength(rest.substr(taken));
        if (!IsStepBlank(CodePointOf(rest.substr(taken, length)))) break;
        taken += length;
      }
    }
    if (taken > 0) {
      out += step.to;
    } else {
      taken = SequenceLength(rest);
      out += rest.substr(0, taken);
    }
    rest.remove_prefix(taken);
    CheckStepBytes(out);
  }
  text = std::move(out);
}

void TextSteps::Apply(const Normalizer& step, std::string& text) {
  switch (step.change) {
    case Change::kForm:
      if (!IsAsciiText(text)) text = EncodeUtf8(HuggingFaceForm(Decoded(text), step.form));
      break;
    case Change::kLower:
      if (IsAsciiText(text)) {
        text = LowerAscii(text);
        break;
      }
      text = EncodeUtf8(LowerForHuggingFace(Decoded(text)));
      break;
    case Change::kStrip: {
      std::u32string characters = Decoded(text);
      const auto kept = [](char32_t c) { return !IsStepBlank(c); };
      if (step.right) {
        const auto last = std::find_if(characters.rbegin(), characters.rend(), kept);
        characters.erase(last.base(), characters.end());
      }
      if (step.left) {
        characters.erase(characters.begin(),
                         std::find_if(characters.begin(), characters.end(), kept));
      }
      text = EncodeUtf8(characters);
      break;
    }
    case Change::kPrepend:
      if (!text.empty()) text.insert(0, step.to);
      break;
    case Change::kReplace:
      Replace(step, text);
      break;
    case Change::kMap:
      ApplyMap(step.map, text);
      break;
    case Change::kBert:
      ApplyBert(step, text);
      break;
  }
  CheckStepBytes(text);
}

void TextSteps::Normalize(std::string& text) const {
  for (const Normalizer& step : normalizers_) Apply(step, text);
}

bool TextSteps::SplitFrom(std::size_t place, std::string_view text, bool at_start,
                          const OnWord& on_word) const {
  if (text.empty()) return true;
  if (place == splitters_.size()) return on_word(text);
  const Splitter& step = splitters_[place];
  std::string replaced;  // kMetaspace
  if (step.cut == Cut::kMetaspace) {
    const bool prepend =
        step.prepend == Prepend::kAlways || (step.prepend == Prepend::kFirst && at_start);
    replaced.reserve(text.size() + 16);
    if (prepend && text[0] != ' ' && !text.starts_with(step.text)) replaced = step.text;
    for (const char c : text) {
      if (c == ' ') {
        replaced += step.text;
      } else {
        replaced += c;
      }
    }
    CheckStepBytes(replaced);
    text = replaced;
    if (!step.split) return SplitFrom(place + 1, text, at_start, on_word);
  }

  // The next delimiter, from `at` on: [begin, end); empty at the end of the text.
  struct Range {
    std::size_t begin, end;
    Join join;
  };
  const auto next = [&](std::size_t at) -> Range {
    if (step.cut == Cut::kText || step.cut == Cut::kMetaspace) {
      const std::size_t found = text.find(step.text, at);
      if (found == std::string_view::npos) return {text.size(), text.size(), step.join};
      return {found, found + step.text.size(), step.join};
    }
    while (at < text.size()) {
      const std::size_t length = SequenceLength(text.substr(at));
      const std::uint8_t kind = BertClassOf(CodePointOf(text.substr(at, length)));
      if ((kind & kBertSpace) != 0) return {at, at + length, Join::kRemoved};
      if (step.cut == Cut::kBert && (kind & kBertPunctuation) != 0) {
        return {at, at + length, Join::kIsolated};
      }
      at += length;
    }
    return {at, at, step.join};
  };
  const auto give = [&](std::size_t begin, std::size_t end) {
    return SplitFrom(place + 1, text.substr(begin, end - begin), at_start && begin == 0, on_word);
  };
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    Range found = next(at);
    if (found.join == Join::kContiguous) {
      for (Range more = next(found.end); more.begin == found.end && more.begin < more.end;
           more = next(found.end)) {
        found.end = more.end;
      }
    }
    at = found.end;
    const bool with_delimiter = found.join == Join::kPrevious;
    if (!give(begin, with_delimiter ? found.end : found.begin)) return false;
    begin = found.join == Join::kNext ? found.begin : found.end;
    if (found.join == Join::kIsolated || found.join == Join::kContiguous) {
      if (!give(found.begin, found.end)) return false;
    }
  }
  return give(begin, text.size());
}

bool TextSteps::Split(std::string_view text, bool at_start, const OnWord& on_word) const {
  return SplitFrom(0, text, at_start, on_word);
}

}  // namespace cliplens
