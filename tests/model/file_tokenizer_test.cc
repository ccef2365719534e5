#include "cliplens/model/file_tokenizer.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
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
#include "cliplens/model/sentencepiece.h"
#include "cliplens/model/tokenizer.h"

namespace cliplens {
namespace {

using Ids = std::vector<std::int32_t>;

const std::filesystem::path kTokenizers =
    std::filesystem::path(CLIPLENS_SOURCE_DIR) / "tests/data/tokenizers";

TextRule RuleOf(const Json& json) {
  TextRule rule{.context_length = json["context"].get<Index>()};
  const std::string clean = json.value("clean", "");
  if (clean == "canonicalize") rule.cleaning = TextCleaning::kCanonicalize;
  if (clean == "whitespace") rule.cleaning = TextCleaning::kWhitespace;
  rule.fills_context = json.value("fill", false);
  rule.strips_separator = json.value("strip_sep", false);
  rule.tokenizer_class = json.value("class", "");
  return rule;
}

// The files of a small tokenizer, to be changed.
class TokenizerFiles {
 public:
  explicit TokenizerFiles(const std::string& name) {
    for (const auto& entry : std::filesystem::directory_iterator(kTokenizers / name)) {
      std::filesystem::copy(entry.path(), path() / entry.path().filename());
    }
  }
  const std::filesystem::path& path() const { return directory_.path(); }
  void Write(const std::string& file, std::string_view text) const {
    WriteFileAtomically(path() / file, text);
  }
  void Change(const std::string& file, const std::function<void(Json&)>& change) const {
    Json json = ReadJsonFile(path() / file);
    change(json);
    Write(file, DumpJson(json));
  }
  Tokenizer Load(TextRule rule = {}) const {
    if (rule.context_length == 0) rule = {.context_length = 24, .fills_context = true};
    return Tokenizer::LoadFiles(path(), rule);
  }

 private:
  TemporaryDirectory directory_;
};

TEST(FileTokenizer, IdsAreTheReferencesForEveryKindOfFile) {
  const Json cases = ReadJsonFile(kTokenizers / "cases.json");
  ASSERT_GE(cases["layouts"].size(), 12u);
  for (const Json& layout : cases["layouts"]) {
    const TextRule rule = RuleOf(layout["rule"]);
    const Tokenizer tokenizer =
        Tokenizer::LoadFiles(kTokenizers / layout["name"].get<std::string>(), rule);
    EXPECT_EQ(tokenizer.context_length(), rule.context_length);
    for (std::size_t i = 0; i < cases["texts"].size(); ++i) {
      SCOPED_TRACE(DumpJson(layout["name"]) + DumpJson(layout["rule"]) +
                   DumpJson(cases["texts"][i]));
      const Tokens tokens = tokenizer.Encode(cases["texts"][i].get<std::string>());
      EXPECT_EQ(tokens.ids, layout["ids"][i].get<Ids>());
      EXPECT_LE(tokens.words, tokens.count);
      EXPECT_LE(tokens.count, rule.context_length);
      for (const std::int32_t id : tokens.ids) {
        EXPECT_GE(id, 0);
        EXPECT_LT(id, tokenizer.vocabulary_size());
      }
    }
  }
}

TEST(FileTokenizer, PaddingBelongsToTheTextWhereItIsAttendedTo) {
  const TokenizerFiles files("t5");
  const Tokenizer filled = files.Load();
  const Tokens tokens = filled.Encode("a photo of a cat");
  EXPECT_EQ(tokens.end, 23);
  EXPECT_FALSE(tokens.truncated);
  EXPECT_EQ(tokens.count, tokens.words + 1);
  const std::vector<TextWord> words = filled.Words(tokens);
  ASSERT_EQ(words.size(), 7u);
  EXPECT_EQ(words[1].text, "photo");
  EXPECT_EQ(words[4].text, "cat");
  EXPECT_EQ(words[5].text, kEndWord);
  EXPECT_EQ(words[6].text, kPaddingWord);
  EXPECT_EQ(words[6].begin, tokens.count);
  EXPECT_EQ(words[6].end, 24);
  for (std::size_t i = 0; i + 1 < words.size(); ++i) EXPECT_EQ(words[i].end, words[i + 1].begin);

  const Tokens pooled = files.Load({.context_length = 24}).Encode("a photo of a cat");
  EXPECT_EQ(pooled.ids, tokens.ids);
  EXPECT_EQ(pooled.end, tokens.count - 1);
}

TEST(FileTokenizer, WordsAreNamedByTheirTokens) {
  const auto texts_of = [](const Tokenizer& tokenizer, std::string_view text) {
    std::vector<std::string> texts;
    for (const TextWord& word : tokenizer.Words(tokenizer.Encode(text))) {
      texts.push_back(word.text);
    }
    return texts;
  };
  using Texts = std::vector<std::string>;
  const std::string start = kStartWord, end = kEndWord, padding = kPaddingWord;
  const TextRule pooled{.context_length = 24};
  EXPECT_EQ(texts_of(TokenizerFiles("xlm").Load(pooled), "two dogs"),
            (Texts{start, "two", "dogs", end}));
  EXPECT_EQ(texts_of(TokenizerFiles("bert").Load(), "Two dogs, s\xC3\xA9t"),
            (Texts{start, "two", "dogs", ",", "set", end, padding}));
  EXPECT_EQ(texts_of(TokenizerFiles("bert").Load(
                         {.context_length = 24, .fills_context = true, .strips_separator = true}),
                     "two"),
            (Texts{start, "two", padding}));
  // Characters without a piece of their own are put together again from their bytes.
  EXPECT_EQ(texts_of(TokenizerFiles("siglip2").Load(), "a \xF0\x9F\x90\xB1 b").at(1),
            "\xF0\x9F\x90\xB1");
  EXPECT_EQ(texts_of(TokenizerFiles("siglip").Load(), "a \xF0\x9F\x90\xB1 b").at(1),
            "\xF0\x9F\x90\xB1");
  // A token that is written in the text is a word.
  EXPECT_EQ(texts_of(TokenizerFiles("xlm").Load({.context_length = 24, .fills_context = true}),
                     "a<mask>b"),
            (Texts{start, "a", "<mask>", "b", end, padding}));
}

TEST(FileTokenizer, LongTextsAreCutAndEndInTheEnd) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "a cat ";
  for (const char* name : {"t5", "t5-saved", "xlm", "siglip", "bert", "siglip2"}) {
    SCOPED_TRACE(name);
    const Tokenizer tokenizer = TokenizerFiles(name).Load();
    const Tokens tokens = tokenizer.Encode(text);
    EXPECT_TRUE(tokens.truncated);
    EXPECT_EQ(tokens.count, 24);
    EXPECT_EQ(tokenizer.Words(tokens).back().text, kEndWord);
  }
}

TEST(FileTokenizer, TheRuleMayNamePaddingAndPooledToken) {
  const TokenizerFiles files("xlm");
  EXPECT_EQ(files.Load({.context_length = 24, .pad = 7}).Encode("a").ids.back(), 7);
  ExpectError(ErrorCode::kUnsupported, "no text ends in the token 9",
              [&] { files.Load({.context_length = 24, .end = 9}); });
  ExpectError(ErrorCode::kInvalidArgument, "a context of 2 tokens",
              [&] { files.Load({.context_length = 2}); });
}

TEST(FileTokenizer, WhatIsMissingIsNamed) {
  const TemporaryDirectory empty;
  ExpectError(ErrorCode::kNotFound, "no tokenizer (tokenizer.json",
              [&] { Tokenizer::LoadFiles(empty.path(), {.context_length = 8}); });
  const TokenizerFiles t5("t5");
  std::filesystem::remove(t5.path() / "tokenizer_config.json");
  ExpectError(ErrorCode::kNotFound, "how spiece.model is read", [&] { t5.Load(); });
  const TokenizerFiles gemma("siglip2");
  std::filesystem::remove(gemma.path() / "tokenizer.json");
  ExpectError(ErrorCode::kNotFound, "tokenizer.json is missing", [&] { gemma.Load(); });
  const TokenizerFiles siglip("siglip");
  std::filesystem::remove(siglip.path() / "spiece.model");
  ExpectError(ErrorCode::kNotFound, "spiece.model", [&] { siglip.Load(); });
}

TEST(FileTokenizer, WhatIsNotFollowedIsRefusedByName) {
  using Change = std::function<void(Json&)>;
  const std::vector<std::tuple<const char*, const char*, const char*, Change>> cases = {
      {"t5", "tokenizer_config.json", "LlamaTokenizer",
       [](Json& j) { j["tokenizer_class"] = "LlamaTokenizer"; }},
      {"t5", "tokenizer_config.json", "padding_side", [](Json& j) { j["padding_side"] = "left"; }},
      {"steps", "tokenizer.json", "Nmt",
       [](Json& j) {
         j["normalizer"] = {{"type", "Nmt"}};
       }},
      {"steps", "tokenizer.json", "[0-9]",
       [](Json& j) {
         j["normalizer"] = {
             {"type", "Replace"}, {"pattern", {{"Regex", "[0-9]"}}}, {"content", ""}};
       }},
      {"steps", "tokenizer.json", "ByteLevel",
       [](Json& j) {
         j["pre_tokenizer"] = {{"type", "ByteLevel"}};
       }},
      {"steps", "tokenizer.json", "WordLevel", [](Json& j) { j["model"]["type"] = "WordLevel"; }},
      {"steps", "tokenizer.json", "RobertaProcessing",
       [](Json& j) {
         j["post_processor"] = {{"type", "RobertaProcessing"}};
       }},
      {"steps", "tokenizer.json", "single_word",
       [](Json& j) { j["added_tokens"][0]["single_word"] = true; }},
      {"siglip2", "tokenizer_config.json", "padding_side",
       [](Json& j) { j.erase("padding_side"); }},
      {"siglip2", "tokenizer_config.json", "image_token",
       [](Json& j) { j["image_token"] = "<image>"; }},
  };
  for (const auto& [name, file, words, change] : cases) {
    SCOPED_TRACE(words);
    const TokenizerFiles files(name);
    files.Change(file, change);
    ExpectError(ErrorCode::kUnsupported, words, [&] { files.Load(); });
  }
}

TEST(FileTokenizer, FilesThatContradictThemselvesAreRefused) {
  using Change = std::function<void(Json&)>;
  const std::vector<std::tuple<const char*, const char*, Change>> cases = {
      {"steps", "\"model\" must be an object", [](Json& j) { j["model"] = 3; }},
      {"steps", "a list of pieces", [](Json& j) { j["model"]["vocab"] = Json::array(); }},
      {"steps", "piece 1 is",
       [](Json& j) {
         j["model"]["vocab"][1] = {"a", "b"};
       }},
      {"steps", "is empty", [](Json& j) { j["model"]["vocab"][7][0] = ""; }},
      {"steps", "the unknown token is", [](Json& j) { j["model"]["unk_id"] = 100'000; }},
      {"steps", "\"unk_id\"", [](Json& j) { j["model"]["unk_id"] = -4; }},
      {"steps", "base64",
       [](Json& j) { j["normalizer"]["normalizers"][0]["precompiled_charsmap"] = "*"; }},
      {"steps", "map of characters",
       [](Json& j) { j["normalizer"]["normalizers"][0]["precompiled_charsmap"] = "AAAA"; }},
      {"steps", "the template's part",
       [](Json& j) {
         j["post_processor"]["single"] = Json::array({{{"SpecialToken", 3}}});
       }},
      {"siglip2", "the id of", [](Json& j) { j["model"]["vocab"]["a"] = 1e9; }},
      {"siglip2", "have the same id", [](Json& j) { j["model"]["vocab"]["zzz"] = 4; }},
      {"siglip2", "\"merges\"", [](Json& j) { j["model"].erase("merges"); }},
      {"siglip2", "but",
       [](Json& j) {
         j["model"]["merges"][0] = {"qq", "zz"};
       }},
      {"bert-saved", "\"vocab\" must be an object", [](Json& j) { j["model"]["vocab"] = 1; }},
      {"bert-saved", "unknown token", [](Json& j) { j["model"]["vocab"].erase("[UNK]"); }},
  };
  for (const auto& [name, words, change] : cases) {
    SCOPED_TRACE(words);
    const TokenizerFiles files(name);
    files.Change("tokenizer.json", change);
    ExpectError(ErrorCode::kCorruptData, words, [&] { files.Load(); });
  }
  const TokenizerFiles bert("bert");
  bert.Write("vocab.txt", "");
  ExpectError(ErrorCode::kCorruptData, "vocab.txt", [&] { bert.Load(); });
  const TokenizerFiles deep("steps");
  deep.Write("tokenizer.json", std::string(5000, '['));
  ExpectError(ErrorCode::kCorruptData, "nested deeper", [&] { deep.Load(); });
}

TEST(FileTokenizer, ATextMustBeUtf8AndOfBoundedLength) {
  const Tokenizer tokenizer = TokenizerFiles("t5").Load();
  ExpectError(ErrorCode::kInvalidArgument, "byte 1", [&] { tokenizer.Encode("a\xFF"); });
  ExpectError(ErrorCode::kExhausted, "4194304",
              [&] { tokenizer.Encode(std::string((4 << 20) + 1, 'a')); });
  EXPECT_TRUE(tokenizer.Encode(std::string(4 << 20, 'a')).truncated);
}

TEST(SentencePieceModel, ACutOrChangedFileIsAnErrorOrIsRead) {
  const std::string whole = ReadTextFile(kTokenizers / "siglip/spiece.model", 1 << 20);
  const auto load = [](std::string_view bytes) {
    const SentencePiece encoder(ParseSentencePieceModel(bytes, "spiece.model"));
    Ids ids;
    encoder.Encode("a photo of \xEF\xAC\x81 a cat", ids);
    const auto count = static_cast<std::int32_t>(encoder.unigram().vocabulary().pieces.size());
    for (const std::int32_t id : ids) EXPECT_LT(id, count);
  };
  load(whole);
  for (std::size_t size = 0; size < whole.size(); size += size < 200 ? 1 : 97) {
    try {
      load(std::string_view(whole).substr(0, size));
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("spiece.model"), std::string::npos);
    }
  }
  for (std::size_t at = 0; at < whole.size(); at += 41) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0xFF);
    try {
      load(changed);
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("spiece.model"), std::string::npos);
    }
  }
}

// Fields in the format of protocol buffers.
std::string TextField(char number, std::string_view text) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(text.size())} +
         std::string(text);
}
std::string PieceField(std::string_view text, float score, char kind = 1) {
  const auto bits = std::bit_cast<std::uint32_t>(score);
  std::string piece = TextField(1, text) + '\x15';
  for (int i = 0; i < 4; ++i) piece += static_cast<char>(bits >> (8 * i));
  return TextField(1, piece + '\x18' + kind);
}

TEST(SentencePieceModel, PiecesThatMakeNoSenseAreRefused) {
  const std::string unknown = PieceField("<unk>", 0, 2);
  const auto load = [](const std::string& bytes) {
    return SentencePiece(ParseSentencePieceModel(bytes, "spiece.model"));
  };
  Ids ids;
  load(unknown + PieceField("\xE2\x96\x81"
                            "a",
                            -1))
      .Encode("a a b", ids);
  EXPECT_EQ(ids, (Ids{1, 1, 0}));  // a blank and a letter without piece are one unknown
  const auto refused = [&](ErrorCode code, const char* words, const std::string& bytes) {
    ExpectError(code, words, [&] { load(bytes); });
  };
  constexpr ErrorCode kCorrupt = ErrorCode::kCorruptData;
  refused(kCorrupt, "no pieces", "");
  refused(kCorrupt, "no piece stands for the unknown", PieceField("a", -1));
  refused(kCorrupt, "both for the unknown", unknown + PieceField("<unk2>", 0, 2));
  refused(kCorrupt, "both \"a\"", unknown + PieceField("a", -1) + PieceField("a", -2));
  refused(kCorrupt, "is empty", unknown + PieceField("", -1));
  refused(kCorrupt, "not UTF-8", unknown + PieceField("\xFF", -1));
  refused(kCorrupt, "unknown kind 9", unknown + PieceField("a", -1, 9));
  refused(kCorrupt, "a score that is no number",
          unknown + PieceField("a", std::numeric_limits<float>::quiet_NaN()));
  refused(kCorrupt, "no piece \"<0x00>\"", unknown + TextField(2, "\x98\x02\x01"));
  refused(kCorrupt, "is damaged", unknown + "\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F");
  refused(kCorrupt, "more than 64 bits", unknown + std::string(11, '\xFF'));
  refused(kCorrupt, "unknown kind", unknown + "\x0B");
  refused(ErrorCode::kUnsupported, "no unigram model", unknown + TextField(2, "\x18\x02"));
  refused(ErrorCode::kUnsupported, "user-defined", unknown + PieceField("a", -1, 4));
}

}  // namespace
}  // namespace cliplens
