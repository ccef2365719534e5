#include "cliplens/model/tokenizer.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <unordered_map>
#include <utility>

#include <fmt/ranges.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/byte_pairs.h"
#include "cliplens/model/clip_vocabulary.h"
#include "cliplens/model/file_tokenizer.h"
#include "cliplens/model/hugging_face_split.h"
#include "cliplens/model/hugging_face_vocabulary.h"
#include "cliplens/model/text/unicode.h"
#include "cliplens/model/text_clean.h"
#include "cliplens/model/vocabulary.h"

namespace cliplens {
namespace {

constexpr Index kMostTokens = Index{1} << 20;
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

// The bytes that a token of a vocabulary spells; characters that stand for no byte are kept.
std::string BytesOf(std::string_view token) {
  static const std::unordered_map<std::string, char> byte_of = [] {
    std::unordered_map<std::string, char> bytes;
    for (unsigned byte = 0; byte < 256; ++byte) {
      bytes.emplace(ByteName(static_cast<unsigned char>(byte)), static_cast<char>(byte));
    }
    return bytes;
  }();
  std::string bytes;
  while (!token.empty()) {
    const std::size_t length = std::max<std::size_t>(Utf8SequenceLength(token), 1);
    const std::string name(token.substr(0, length));
    const auto found = byte_of.find(name);
    if (found != byte_of.end()) {
      bytes += found->second;
    } else {
      bytes += name;
    }
    token.remove_prefix(length);
  }
  return bytes;
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
      spelling.emplace(id, token);
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
    for (const auto& [token, id] : vocabulary.words.ids) spelling.emplace(id, token);
    for (const AddedToken& token : vocabulary.added) added.emplace(token.id, token.text);
    if (!pool_highest && eos_token_id != end) {
      throw Error(ErrorCode::kUnsupported,
                  "{}: texts end in token {} (\"{}\"), the configuration pools token {} "
                  "(eos_token_id), which ends none; put the tokenizer's id there",
                  vocabulary.words.name, end, Printable(vocabulary.words.end), eos_token_id);
    }
  }

  void CheckContext(Index least) const {
    if (context_length >= least && context_length <= kMostTokens) return;
    throw Error(ErrorCode::kInvalidArgument,
                "a context of {} tokens; it must be from {} to {}, as the model's configuration "
                "says (77 for CLIP)",
                context_length, least, kMostTokens);
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
  TextTail tail = TextTail::kPadding;
  std::optional<HuggingFaceSplitter> splitter;  // kHuggingFace
  // What tokens stand for: as vocabularies write them, and added ones as they are.
  std::unordered_map<std::int32_t, std::string> spelling;
  std::unordered_map<std::int32_t, std::string> added;
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
Tokenizer::Tokenizer(std::unique_ptr<FileTokenizer> files) : files_(std::move(files)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::Load(const std::filesystem::path& directory, Index context_length,
                          const std::string& own_name, TextTail tail) {
  std::optional<Vocabulary> vocabulary;
  if (!directory.empty()) vocabulary = ReadVocabulary(directory);
  if (!vocabulary) {
    if (!own_name.empty()) {
      throw Error(
          ErrorCode::kNotFound,
          "{}: the model's texts are read by the tokenizer '{}' (its configuration's "
          "hf_tokenizer_name), whose files are not there; put its vocab.json and merges.txt, "
          "or its tokenizer.json, there",
          PathText(directory), Printable(own_name));
    }
    if (ClipMergesText().empty()) {
      throw Error(ErrorCode::kNotFound,
                  "{}: no vocabulary (vocab.json with merges.txt, or tokenizer.json), and this "
                  "build holds none of its own; copy the model's files there, or write CLIP's with "
                  "tools/fetch_clip_vocabulary.py --out {}",
                  PathText(directory), PathText(directory / "merges.txt"));
    }
    const std::string name = "CLIP's vocabulary";
    vocabulary = VocabularyFromMerges(ParseMerges(ClipMergesText(), name), name);
  }
  auto impl = std::make_unique<Impl>(*vocabulary, context_length);
  impl->tail = tail;
  return Tokenizer(std::move(impl));
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

Tokenizer Tokenizer::LoadFiles(const std::filesystem::path& directory, const TextRule& rule,
                               const std::string& own_name) {
  constexpr const char* kFiles[] = {"tokenizer.json", "spiece.model", "sentencepiece.bpe.model",
                                    "vocab.txt", "tokenizer_config.json"};
  const bool there =
      std::ranges::any_of(kFiles, [&](const char* file) { return Exists(directory / file); });
  if (!there && !own_name.empty()) {
    throw Error(ErrorCode::kNotFound,
                "{}: the model's texts are read by the tokenizer '{}', and none of its files is "
                "there ({}); copy all that it has there, or give rows of texts that were made "
                "elsewhere: --text-rows FILE.npy, with the texts in FILE.txt beside it",
                PathText(directory), Printable(own_name), fmt::join(kFiles, ", "));
  }
  return Tokenizer(std::make_unique<FileTokenizer>(FileTokenizer::Load(directory, rule)));
}

Tokens Tokenizer::Encode(std::string_view text) const {
  if (files_) return files_->Encode(text);
  if (text.size() > kMaxTextBytes) {
    throw Error(ErrorCode::kExhausted, "a text of {} bytes; {} are the most that are read",
                text.size(), kMaxTextBytes);
  }
  const auto length = ToSize(impl_->length);
  Tokens tokens;
  std::vector<std::int32_t>& ids = tokens.ids;
  ids.reserve(ToSize(impl_->context_length) + 1);
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
  tokens.words = tokens.count - 2;
  const auto pooled = impl_->pool_highest ? std::max_element(ids.begin(), ids.end())
                                          : std::find(ids.begin(), ids.end(), impl_->end);
  tokens.end = pooled - ids.begin();
  if (impl_->tail == TextTail::kClassRow) {
    tokens.end = std::min(tokens.count + 1, impl_->context_length);
    ids.resize(ToSize(impl_->context_length) + 1, impl_->pad);
    return tokens;
  }
  ids.resize(ToSize(impl_->context_length), impl_->pad);
  return tokens;
}

std::vector<TextWord> Tokenizer::Words(const Tokens& tokens) const {
  if (files_) return files_->Words(tokens);
  std::vector<TextWord> words;
  bool open = false;  // the last word goes on
  const bool class_row = impl_->tail == TextTail::kClassRow;
  const Index last = class_row ? tokens.count - 1 : tokens.end;
  for (Index i = 0; i <= last; ++i) {
    const std::int32_t id = tokens.ids.at(ToSize(i));
    const auto added = impl_->added.find(id);
    const auto found = impl_->spelling.find(id);
    std::string_view token = found == impl_->spelling.end() ? "" : std::string_view(found->second);
    const bool special = id == impl_->start || id == impl_->end || added != impl_->added.end();
    const bool ends = special || token.ends_with(kWordEnd);
    std::string text;
    if (i == last) {
      text = kEndWord;
    } else if (i == 0) {
      text = kStartWord;
    } else if (added != impl_->added.end()) {
      text = added->second;
    } else if (special) {
      text = token;
    } else {
      if (ends) token.remove_suffix(kWordEnd.size());
      text = BytesOf(token);
    }
    if (open && !special) {
      words.back().text += text;
      words.back().end = i + 1;
    } else {
      words.push_back({std::move(text), i, i + 1});
    }
    open = !ends && i > 0;
  }
  if (!class_row) return words;
  if (last + 1 < tokens.end) words.push_back({kPaddingWord, last + 1, tokens.end});
  words.push_back({kClassWord, tokens.end, tokens.end + 1});
  return words;
}

Index Tokenizer::vocabulary_size() const {
  return files_ ? files_->vocabulary_size() : impl_->vocabulary_size;
}
Index Tokenizer::context_length() const {
  return files_ ? files_->context_length() : impl_->context_length;
}

}  // namespace cliplens
