#include "cliplens/model/text/hugging_face.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/io/file.h"
#include "cliplens/io/json.h"
#include "cliplens/model/clip_vocabulary.h"
#include "cliplens/model/hugging_face_vocabulary.h"
#include "cliplens/model/text/unicode.h"
#include "cliplens/model/tokenizer.h"

namespace cliplens {
namespace {

using Ids = std::vector<std::int32_t>;
using Files = std::map<std::string, Json>;

const std::filesystem::path kData = std::filesystem::path(CLIPLENS_SOURCE_DIR) / "tests/data";
constexpr Index kPoolsHighest = 2;

std::string MergesText() { return ReadTextFile(kData / "tokenizer_merges.txt", 1 << 20); }

const Json& Cases() {
  static const Json cases = ReadJsonFile(kData / "hugging_face_cases.json");
  return cases;
}

// The small vocabulary, numbered as open_clip numbers it, in the spelling of Hugging Face's files.
Json Vocab() {
  const Vocabulary vocabulary = VocabularyFromMerges(ParseMerges(MergesText(), "small"), "small");
  std::map<std::int32_t, std::string> tokens;
  for (const auto& [token, id] : vocabulary.ids) tokens[id] = token;
  Json json = Json::object();
  for (const auto& [id, token] : tokens) {
    json[token == "<start_of_text>" ? "<|startoftext|>"
         : token == "<end_of_text>" ? "<|endoftext|>"
                                    : token] = id;
  }
  return json;
}

void Write(const std::filesystem::path& directory, const Files& files) {
  for (const auto& [name, json] : files)
    WriteFileAtomically(directory / name, std::string_view(DumpJson(json)));
}

void WritePair(const std::filesystem::path& directory, const Files& files = {}) {
  Write(directory, {{"vocab.json", Vocab()}});
  WriteFileAtomically(directory / "merges.txt", std::string_view(MergesText()));
  Write(directory, files);
}

Json TokenizerJson(bool normalized) {
  const Json vocab = Vocab();
  Json merges = Json::array();
  for (const auto& [left, right] : ParseMerges(MergesText(), "small")) {
    merges.push_back(Json::array({left, right}));
  }
  Json added = Json::array();
  for (const char* token : {"<|startoftext|>", "<|endoftext|>"}) {
    added.push_back({{"id", vocab[token]},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", normalized},
                     {"special", true}});
  }
  return {
      {"version", "1.0"},
      {"added_tokens", added},
      {"model",
       {{"type", "BPE"}, {"end_of_word_suffix", "</w>"}, {"vocab", vocab}, {"merges", merges}}}};
}

Ids WithoutPadding(const Tokens& tokens) {
  return {tokens.ids.begin(), tokens.ids.begin() + tokens.count};
}

void ExpectIds(const Tokenizer& tokenizer, const Json& layout) {
  const Json& texts = Cases()["texts"];
  ASSERT_GT(texts.size(), 300u);
  const auto end = layout["end"].get<std::int32_t>();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    SCOPED_TRACE(texts[i].dump());
    const auto wanted = layout["ids"][i].get<Ids>();
    const Tokens tokens = tokenizer.Encode(texts[i].get<std::string>());
    EXPECT_EQ(WithoutPadding(tokens), wanted);
    EXPECT_EQ(static_cast<Index>(tokens.ids.size()), tokenizer.context_length());
    EXPECT_EQ(tokens.end, std::find(wanted.begin(), wanted.end(), end) - wanted.begin());
  }
}

TEST(HuggingFaceTokenizer, IdsAreTransformersForEveryLayout) {
  const auto context = Cases()["context"].get<Index>();
  ASSERT_EQ(Cases()["layouts"].size(), 3u);
  for (const Json& layout : Cases()["layouts"]) {
    SCOPED_TRACE(layout["name"].get<std::string>());
    const TemporaryDirectory directory;
    Files files;
    for (const auto& [name, json] : layout["files"].items()) files[name] = json;
    WritePair(directory.path(), files);
    ExpectIds(Tokenizer::LoadHuggingFace(directory.path(), context, layout["end"].get<Index>()),
              layout);
  }
}

TEST(HuggingFaceTokenizer, TokenizerJsonComesFirst) {
  const auto context = Cases()["context"].get<Index>();
  const Json& pair = Cases()["layouts"][0];
  const TemporaryDirectory directory;
  Write(directory.path(), {{"tokenizer.json", TokenizerJson(false)}, {"vocab.json", {{"a", 0}}}});
  ExpectIds(Tokenizer::LoadHuggingFace(directory.path(), context, pair["end"].get<Index>()), pair);

  // Looked for after normalization a token is found in any case of letters.
  const TemporaryDirectory other;
  Write(other.path(), {{"tokenizer.json", TokenizerJson(true)}});
  const Tokenizer normalized = Tokenizer::LoadHuggingFace(other.path(), context, kPoolsHighest);
  const Tokenizer written = Tokenizer::LoadHuggingFace(directory.path(), context, kPoolsHighest);
  const Tokens upper = normalized.Encode("a<|ENDOFTEXT|>b");
  EXPECT_EQ(upper.ids, normalized.Encode("a<|endoftext|>b").ids);
  EXPECT_EQ(upper.end, 2);
  EXPECT_EQ(upper.count, 5);
  EXPECT_NE(upper.ids, written.Encode("a<|ENDOFTEXT|>b").ids);
}

TEST(HuggingFaceTokenizer, PoolsAndCutsAsTheModelDoes) {
  const TemporaryDirectory directory;
  // A token above the end token: the highest id is pooled, not the end.
  WritePair(directory.path(), {{"added_tokens.json", {{"<toy>", 5000}}},
                               {"tokenizer_config.json", {{"model_max_length", 6}}}});
  const auto end = Vocab()["<|endoftext|>"].get<std::int32_t>();
  const Tokenizer highest = Tokenizer::LoadHuggingFace(directory.path(), 10, kPoolsHighest);
  const Tokenizer first_end = Tokenizer::LoadHuggingFace(directory.path(), 10, end);
  EXPECT_EQ(highest.vocabulary_size(), end + 2);
  const Tokens tokens = highest.Encode("1<toy>2");
  EXPECT_EQ(tokens.ids[2], end + 1);
  EXPECT_EQ(tokens.end, 2);
  EXPECT_EQ(first_end.Encode("1<toy>2").end, 4);
  // Cut to model_max_length with the end kept; the context stays the number of places.
  const Tokens cut = first_end.Encode("1 2 3 4 5 6 7");
  EXPECT_TRUE(cut.truncated);
  EXPECT_EQ(cut.count, 6);
  EXPECT_EQ(cut.end, 5);
  EXPECT_EQ(cut.ids.size(), 10u);
  EXPECT_FALSE(first_end.Encode("1 2 3 4").truncated);
  ExpectError(ErrorCode::kUnsupported, "the configuration pools token 77",
              [&] { Tokenizer::LoadHuggingFace(directory.path(), 10, 77); });
  ExpectError(ErrorCode::kInvalidArgument, "a context of 1 tokens",
              [&] { Tokenizer::LoadHuggingFace(directory.path(), 1, kPoolsHighest); });
}

TEST(HuggingFaceTokenizer, BytesWithoutATokenAreTheUnknownOne) {
  const TemporaryDirectory directory;
  const Json vocab = {{"a</w>", 0}, {"b", 1}, {"<|startoftext|>", 2}, {"<|endoftext|>", 3}};
  Write(directory.path(), {{"vocab.json", vocab}});
  WriteFileAtomically(directory.path() / "merges.txt", std::string_view("#version: 0.2\n"));
  const Tokenizer tokenizer = Tokenizer::LoadHuggingFace(directory.path(), 8, 3);
  EXPECT_EQ(WithoutPadding(tokenizer.Encode("ba zz a")), (Ids{2, 1, 0, 3, 3, 0, 3}));

  Write(directory.path(), {{"tokenizer_config.json", {{"unk_token", nullptr}}}});
  ExpectError(ErrorCode::kInvalidArgument, "no token for the byte 0x7A",
              [&] { Tokenizer::LoadHuggingFace(directory.path(), 8, 3).Encode("z"); });
}

TEST(HuggingFaceTokenizer, MergesComeOneByOne) {
  // "abc" has two merges; once "a bc" made the first, "abc a" ranks before the next "a bc".
  const TemporaryDirectory directory;
  const Json vocab = {
      {"a", 0},  {"b", 1},   {"c", 2},    {"x</w>", 3},           {"ab", 4},
      {"bc", 5}, {"abc", 6}, {"abca", 7}, {"<|startoftext|>", 8}, {"<|endoftext|>", 9}};
  Write(directory.path(), {{"vocab.json", vocab}});
  WriteFileAtomically(directory.path() / "merges.txt",
                      std::string_view("#version: 0.2\nab c\nb c\nabc a\na bc\n"));
  const Tokenizer one_by_one = Tokenizer::LoadHuggingFace(directory.path(), 99, 9);
  const Tokenizer whole_word = Tokenizer::Load(directory.path(), 99);
  EXPECT_EQ(WithoutPadding(one_by_one.Encode("abcabcx")), (Ids{8, 7, 5, 3, 9}));
  EXPECT_EQ(WithoutPadding(whole_word.Encode("abcabcx")), (Ids{8, 6, 6, 3, 9}));
  // Long words take another way to the same.
  std::string word;
  Ids wanted = {8};
  for (int i = 0; i < 20; ++i) {
    word += "abcabc";
    wanted.insert(wanted.end(), {7, 5});
  }
  wanted.insert(wanted.end(), {3, 9});
  EXPECT_EQ(WithoutPadding(one_by_one.Encode(word + "x")), wanted);
}

TEST(HuggingFaceTokenizer, WithoutFilesTheVocabularyIsClips) {
  if (ClipMergesText().empty()) GTEST_SKIP() << "built with CLIPLENS_CLIP_VOCABULARY=OFF";
  const TemporaryDirectory directory;
  const Tokenizer tokenizer = Tokenizer::LoadHuggingFace(directory.path(), 77, 49407);
  EXPECT_EQ(tokenizer.vocabulary_size(), 49408);
  EXPECT_EQ(WithoutPadding(tokenizer.Encode("a photo of a cat")),
            (Ids{49406, 320, 1125, 539, 320, 2368, 49407}));
}

TEST(HuggingFaceTokenizer, WhatIsNotFollowedIsRefusedByName) {
  const std::vector<std::tuple<Files, ErrorCode, const char*>> cases = {
      {{{"tokenizer_config.json", {{"tokenizer_class", "GPT2Tokenizer"}}}},
       ErrorCode::kUnsupported,
       "GPT2Tokenizer"},
      {{{"tokenizer_config.json", {{"truncation_side", "left"}}}},
       ErrorCode::kUnsupported,
       "truncation_side"},
      {{{"tokenizer_config.json", {{"padding_side", "left"}}}},
       ErrorCode::kUnsupported,
       "padding_side"},
      {{{"tokenizer_config.json", {{"split_special_tokens", true}}}},
       ErrorCode::kUnsupported,
       "split_special_tokens"},
      {{{"tokenizer_config.json", {{"image_token", "<image>"}}}},
       ErrorCode::kUnsupported,
       "image_token"},
      {{{"tokenizer_config.json", {{"eos_token", nullptr}}}}, ErrorCode::kUnsupported, "eos_token"},
      {{{"tokenizer_config.json", {{"model_max_length", 1}}}},
       ErrorCode::kCorruptData,
       "model_max_length"},
      {{{"tokenizer_config.json", {{"bos_token", 7}}}}, ErrorCode::kCorruptData, "bos_token"},
      {{{"tokenizer_config.json", {{"added_tokens_decoder", {{"x1", {{"content", "<x>"}}}}}}}},
       ErrorCode::kCorruptData,
       "x1"},
      {{{"special_tokens_map.json", {{"mask_token", {{"content", "<m>"}, {"lstrip", true}}}}}},
       ErrorCode::kUnsupported,
       "'lstrip' of the token \"<m>\" is true"},
      {{{"added_tokens.json", {{"<x>", "one"}}}}, ErrorCode::kCorruptData, "added_tokens.json"},
      {{{"special_tokens_map.json", Json::array()}}, ErrorCode::kCorruptData, "an object"},
  };
  for (const auto& [files, code, words] : cases) {
    const TemporaryDirectory directory;
    WritePair(directory.path(), files);
    ExpectError(code, words,
                [&] { Tokenizer::LoadHuggingFace(directory.path(), 24, kPoolsHighest); });
  }
}

TEST(HuggingFaceTokenizer, TextThatIsNotUtf8IsRefused) {
  const TemporaryDirectory directory;
  WritePair(directory.path());
  const Tokenizer tokenizer = Tokenizer::LoadHuggingFace(directory.path(), 24, kPoolsHighest);
  ExpectError(ErrorCode::kInvalidArgument, "byte 2 of 4", [&] { tokenizer.Encode("ab\xFFz"); });
}

TEST(HuggingFaceText, EveryCodePointIsNormalizedAsTheirs) {
  ASSERT_EQ(Cases()["planes"].size(), 17u);
  for (char32_t plane = 0; plane < 17; ++plane) {
    std::uint64_t hash = 0xCBF29CE484222325u;
    for (char32_t c = plane << 16; c < (plane + 1) << 16; ++c) {
      if (c >= 0xD800 && c <= 0xDFFF) continue;
      const std::u32string text = {U'A', c, U'\u0301', c};
      for (const char byte : EncodeUtf8(NormalizeForHuggingFace(text)) + "\n") {
        hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3u;
      }
    }
    EXPECT_EQ(fmt::format("{:016x}", hash), Cases()["planes"][plane].get<std::string>())
        << static_cast<int>(plane);
  }
}

TEST(HuggingFaceText, SpacesJoinAndSigmasStay) {
  EXPECT_EQ(NormalizeForHuggingFace(U"Cafe\u0301 \t\u3000\nΣΑΣ\u0130"), U"caf\u00e9 σασi\u0307");
  EXPECT_EQ(NormalizeForHuggingFace(U""), U"");
}

}  // namespace
}  // namespace cliplens
