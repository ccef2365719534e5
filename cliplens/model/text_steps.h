// The steps of Hugging Face's tokenizers ahead of the vocabulary: normalizers, which change a text,
// and pre-tokenizers, which split it into words.
//
//   TextSteps steps;
//   steps.AddNormalizer({{"type", "Lowercase"}}, "tokenizer.json");
//   steps.AddSplit({{"type", "WhitespaceSplit"}}, "tokenizer.json");
//   std::string text = "A Cat";
//   steps.Normalize(text);
//   steps.Split(text, /*at_start=*/true, [](std::string_view word) { return Print(word), true; });
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/io/json.h"
#include "cliplens/io/normal_form.h"
#include "cliplens/model/character_map.h"

namespace cliplens {

// Text is UTF-8. Characters are seen as by tokenizers 0.23 (model/text/hugging_face.h).
class TextSteps {
 public:
  // Appends a step as tokenizer.json writes it ("normalizer", "pre_tokenizer"); null is none.
  // Error(kUnsupported) that names a kind or a setting that is not followed, Error(kCorruptData)
  // for members that make no sense. `name` is the file's.
  void AddNormalizer(const Json& step, const std::string& name);
  void AddSplit(const Json& step, const std::string& name);
  // The normalizer "Precompiled" with bytes as sentencepiece's files hold them.
  void AddCharacterMap(std::string_view bytes, const std::string& name);

  // Error(kExhausted) if the text grows above 64 MiB.
  void Normalize(std::string& text) const;

  // Gives the words of a normalized text from left to right until `on_word` returns false, which is
  // then returned. `at_start`: the text begins where the whole text did.
  using OnWord = std::function<bool(std::string_view word)>;
  bool Split(std::string_view text, bool at_start, const OnWord& on_word) const;

 private:
  enum class Change { kForm, kLower, kStrip, kReplace, kPrepend, kMap, kBert };
  enum class Pattern { kText, kBlanks, kWhiteSpace };  // as it stands, " {2,}", "\s+"
  enum class Join { kRemoved, kIsolated, kPrevious, kNext, kContiguous };
  enum class Cut { kWhiteSpace, kBert, kText, kMetaspace };
  enum class Prepend { kAlways, kFirst, kNever };

  struct Normalizer {
    Change change = Change::kLower;
    NormalForm form = NormalForm::kC;
    bool left = false, right = false;                                      // kStrip
    bool clean = false, ideographs = false, marks = false, lower = false;  // kBert
    Pattern pattern = Pattern::kText;
    std::string from = {}, to = {};
    CharacterMap map = {};
  };
  struct Splitter {
    Cut cut = Cut::kWhiteSpace;
    std::string text = {};  // kText; kMetaspace: what stands for a blank
    Join join = Join::kRemoved;
    Prepend prepend = Prepend::kAlways;
    bool split = true;
  };
  static void Apply(const Normalizer& step, std::string& text);
  static void ApplyMap(const CharacterMap& map, std::string& text);
  static void ApplyBert(const Normalizer& step, std::string& text);
  static void Replace(const Normalizer& step, std::string& text);
  // The splitters from `step` on.
  bool SplitFrom(std::size_t step, std::string_view text, bool at_start,
                 const OnWord& on_word) const;

  std::vector<Normalizer> normalizers_;
  std::vector<Splitter> splitters_;
};

}  // namespace cliplens
