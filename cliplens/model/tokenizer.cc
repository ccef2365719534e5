#include "cliplens/model/tokenizer.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/byte_pairs.h"
#include "cliplens/model/clip_vocabulary.h"
#include "cliplens/model/hugging_face_split.h"
#include "cliplens/model/hugging_face_vocabulary.h"
#include "cliplens/model/text/unicode.h"
#include "cliplens/model/text_clean.h"
#include "cliplens/model/vocabulary.h"

namespace cliplens {
namespace {

constexpr Index kMaxContext = Index{1} << 20;
constexpr std::size_t kMaxTextBytes = std::size_t{64} << 20;
// The eos_token_id that stands for the highest id of a text.
constexpr Index kHighestId = 2;

// Whether `c` is the ASCII character `expected` when case is ignored; the long s is a form of s.
bool SameLetter(char32_t c, char32_t expected) {
  const auto lower = [](char32_t letter) {
    return letter >= U'A' && letter <= U'Z' ? letter + 0x20 : letter;
  };
  return lower(c) == lower(expected) || (c == 0x17F && lower(expected) == U's');
}

bool StartsWithAnyCase(std::u32string_view text, std::u32string_view prefix) {
  return text.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), text.begin(),
                    [](char32_t expected, char32_t c) { return SameLetter(c, expected); });
}

// The length of the word that the text begins with; 0 if the first character belongs to none.
// The reference's expression, in its order of alternatives and with its flag IGNORECASE:
//   <start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
std::size_t WordLength(std::u32string_view text,
                       const std::array<std::u32string, 2>& special_tokens) {
  for (const std::u32string& token : special_tokens) {
    if (StartsWithAnyCase(text, token)) return token.size();
  }
  if (text[0] == U'\'') {
    for (const std::u32string_view ending : {U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"}) {
      if (StartsWithAnyCase(text, ending)) return ending.size();
    }
  }
  const unsigned kind = ClassOf(text[0]) & (kLetter | kNumber | kSymbol);
  if (kind == kNumber) return 1;
  std::size_t length = 0;
  while (kind != 0 && length < text.size() && (ClassOf(text[length]) & kind) != 0) ++length;
  return length;
}

}  // namespace

struct Tokenizer::Impl {
  Impl(const Vocabulary& vocabulary, Index context)
      : context_length(context),
        length(context),
        pairs(vocabulary),
        special_tokens{DecodeUtf8(vocabulary.start), DecodeUtf8(vocabulary.end)},
        start(vocabulary.ids.at(vocabulary.start)),
        end(vocabulary.ids.at(vocabulary.end)) {
    CheckContext(1);
    for (const auto& [token, id] : vocabulary.ids) {
      vocabulary_size = std::max(vocabulary_size, Index{id} + 1);
    }
  }

  Impl(const HuggingFaceVocabulary& vocabulary, Index context, Index eos_token_id)
      : context_length(context),
        length(std::min(context, vocabulary.max_length)),
        vocabulary_size(vocabulary.size),
        pairs(vocabulary.words, MergeOrder::kOneByOne),
        start(vocabulary.start),
        end(vocabulary.end),
        pad(vocabulary.pad),
        pool_highest(eos_token_id == kHighestId),
        splitter(std::in_place, vocabulary.added) {
    CheckContext(2);
    if (!pool_highest && eos_token_id != end) {
      throw Error(ErrorCode::kUnsupported,
                  "{}: texts end in token {} (\"{}\"), the configuration pools token {} "
                  "(eos_token_id), which ends none; put the tokenizer's id there",
                  vocabulary.words.name, end, Printable(vocabulary.words.end), eos_token_id);
    }
  }

  void CheckContext(Index least) const {
    if (context_length >= least && context_length <= kMaxContext) return;
    throw Error(ErrorCode::kInvalidArgument,
                "a context of {} tokens; it must be from {} to {}, as the model's configuration "
                "says (77 for CLIP)",
                context_length, least, kMaxContext);
  }

  // Words behind the cut cannot change what stands before it, so both stop there. They append to
  // the start token.
  void EncodeOpenClip(std::string_view text, std::vector<std::int32_t>& ids) const;
  void EncodeHuggingFace(std::string_view text, std::vector<std::int32_t>& ids) const;

  Index context_length;
  Index length;  // of a text at most
  Index vocabulary_size = 0;
  BytePairs pairs;
  std::array<std::u32string, 2> special_tokens;  // kOpenClip
  std::int32_t start;
  std::int32_t end;
  std::int32_t pad = 0;
  bool pool_highest = false;
  std::optional<HuggingFaceSplitter> splitter;  // kHuggingFace
};

void Tokenizer::Impl::EncodeOpenClip(std::string_view text, std::vector<std::int32_t>& ids) const {
  const std::u32string clean = CleanText(text);
  std::u32string_view rest = clean;
  std::string word;
  while (!rest.empty() && static_cast<Index>(ids.size()) < length) {
    const std::size_t word_length = WordLength(rest, special_tokens);
    const std::u32string_view taken = rest.substr(0, word_length);
    rest.remove_prefix(std::max<std::size_t>(word_length, 1));
    if (taken == special_tokens[0]) {
      ids.push_back(start);
    } else if (taken == special_tokens[1]) {
      ids.push_back(end);
    } else {
      word.clear();
      for (char32_t c : taken) AppendUtf8(c, word);
      pairs.Encode(word, ids);
    }
  }
}

void Tokenizer::Impl::EncodeHuggingFace(std::string_view text,
                                        std::vector<std::int32_t>& ids) const {
  const auto go_on = [&] { return static_cast<Index>(ids.size()) < length; };
  splitter->Split(
      text,
      [&](std::string_view word) {
        pairs.Encode(word, ids);
        return go_on();
      },
      [&](std::int32_t id) {
        ids.push_back(id);
        return go_on();
      });
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::Load(const std::filesystem::path& directory, Index context_length) {
  std::optional<Vocabulary> vocabulary;
  if (!directory.empty()) vocabulary = ReadVocabulary(directory);
  if (!vocabulary) {
    if (ClipMergesText().empty()) {
      throw Error(ErrorCode::kNotFound,
                  "{}: no vocabulary (vocab.json with merges.txt, or tokenizer.json), and this "
                  "build holds none of its own; copy the model's files there, or write CLIP's with "
                  "tools/fetch_clip_vocabulary.py --out {}",
                  Printable(directory.native(), 1024),
                  Printable((directory / "merges.txt").native(), 1024));
    }
    const std::string name = "CLIP's vocabulary";
    vocabulary = VocabularyFromMerges(ParseMerges(ClipMergesText(), name), name);
  }
  return Tokenizer(std::make_unique<Impl>(*vocabulary, context_length));
}

Tokenizer Tokenizer::FromMerges(const std::vector<std::pair<std::string, std::string>>& merges,
                                Index context_length) {
  return Tokenizer(
      std::make_unique<Impl>(VocabularyFromMerges(merges, "the merges"), context_length));
}

Tokenizer Tokenizer::LoadHuggingFace(const std::filesystem::path& directory, Index context_length,
                                     Index eos_token_id) {
  return Tokenizer(
      std::make_unique<Impl>(ReadHuggingFaceVocabulary(directory), context_length, eos_token_id));
}

Tokens Tokenizer::Encode(std::string_view text) const {
  if (text.size() > kMaxTextBytes) {
    throw Error(ErrorCode::kExhausted, "a text of {} bytes; {} are the most that are read",
                text.size(), kMaxTextBytes);
  }
  const auto length = static_cast<std::size_t>(impl_->length);
  Tokens tokens;
  std::vector<std::int32_t>& ids = tokens.ids;
  ids.reserve(static_cast<std::size_t>(impl_->context_length) + 1);
  ids.push_back(impl_->start);
  if (impl_->splitter) {
    impl_->EncodeHuggingFace(text, ids);
  } else {
    impl_->EncodeOpenClip(text, ids);
  }

  // With the end token the ids must fit.
  tokens.truncated = ids.size() + 1 > length;
  ids.resize(std::min(ids.size(), length - 1));
  ids.push_back(impl_->end);
  tokens.count = static_cast<Index>(ids.size());
  const auto pooled = impl_->pool_highest ? std::max_element(ids.begin(), ids.end())
                                          : std::find(ids.begin(), ids.end(), impl_->end);
  tokens.end = pooled - ids.begin();
  ids.resize(static_cast<std::size_t>(impl_->context_length), impl_->pad);
  return tokens;
}

Index Tokenizer::vocabulary_size() const { return impl_->vocabulary_size; }
Index Tokenizer::context_length() const { return impl_->context_length; }

}  // namespace cliplens
