#include "cliplens/model/hugging_face_split.h"

#include <algorithm>

#include "cliplens/model/text/hugging_face.h"
#include "cliplens/model/text/unicode.h"

namespace cliplens {
namespace {

constexpr unsigned kKinds = kHuggingFaceLetter | kHuggingFaceNumber | kHuggingFaceOther;

// The lengths of the words that `text`, which is not empty, begins with; one 0 for a character that
// belongs to none.
std::vector<std::size_t> WordLengths(std::u32string_view text) {
  if (text.starts_with(U"<|startoftext|>")) return {2, 11, 2};
  if (text.starts_with(U"<|endoftext|>")) return {2, 9, 2};
  if (text[0] == U'\'') {
    for (const std::u32string_view ending : {U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"}) {
      if (text.starts_with(ending)) return {ending.size()};
    }
  }
  const unsigned kind = HuggingFaceClassOf(text[0]) & kKinds;
  if (kind == kHuggingFaceNumber) return {1};
  std::size_t length = 0;
  while (kind != 0 && length < text.size() && (HuggingFaceClassOf(text[length]) & kind) != 0) {
    ++length;
  }
  return {length};
}

bool SplitWords(std::u32string_view text, const HuggingFaceSplitter::OnWord& on_word) {
  std::string word;
  while (!text.empty()) {
    for (const std::size_t length : WordLengths(text)) {
      if (length == 0) {
        text.remove_prefix(1);
        break;
      }
      word.clear();
      for (const char32_t c : text.substr(0, length)) AppendUtf8(c, word);
      text.remove_prefix(length);
      if (!on_word(word)) return false;
    }
  }
  return true;
}

}  // namespace

HuggingFaceSplitter::HuggingFaceSplitter(const std::vector<AddedToken>& added) {
  for (const AddedToken& token : added) {
    const std::u32string written = DecodeUtf8(token.text);
    const std::u32string text = token.normalized ? NormalizeForHuggingFace(written) : written;
    (token.normalized ? normalized_ : as_written_)[text[0]].push_back({text, token.id});
  }
  for (Spellings* spellings : {&as_written_, &normalized_}) {
    for (auto& [first, list] : *spellings) {
      std::stable_sort(list.begin(), list.end(), [](const Spelling& a, const Spelling& b) {
        return a.text.size() > b.text.size();
      });
    }
  }
}

bool HuggingFaceSplitter::CutOut(const Spellings& spellings, std::u32string_view text,
                                 const std::function<bool(std::u32string_view)>& between,
                                 const OnToken& on_token) {
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto list = spellings.find(text[at]);
    const Spelling* found = nullptr;
    if (list != spellings.end()) {
      for (const Spelling& spelling : list->second) {
        if (text.substr(at).starts_with(spelling.text)) {
          found = &spelling;
          break;
        }
      }
    }
    if (found == nullptr) {
      ++at;
      continue;
    }
    if (at > begin && !between(text.substr(begin, at - begin))) return false;
    if (!on_token(found->id)) return false;
    at += found->text.size();
    begin = at;
  }
  return begin == text.size() || between(text.substr(begin));
}

void HuggingFaceSplitter::Split(std::string_view text, const OnWord& on_word,
                                const OnToken& on_token) const {
  const auto words = [&](std::u32string_view part) { return SplitWords(part, on_word); };
  CutOut(
      as_written_, DecodeUtf8(text),
      [&](std::u32string_view part) {
        return CutOut(normalized_, NormalizeForHuggingFace(part), words, on_token);
      },
      on_token);
}

}  // namespace cliplens
