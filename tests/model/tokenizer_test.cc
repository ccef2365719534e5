#include "cliplens/model/tokenizer.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/io/file.h"
#include "cliplens/io/json.h"
#include "cliplens/model/byte_pairs.h"
#include "cliplens/model/clip_vocabulary.h"
#include "cliplens/model/vocabulary.h"

namespace cliplens {
namespace {

using Ids = std::vector<std::int32_t>;
using Merges = std::vector<std::pair<std::string, std::string>>;

const std::filesystem::path kData = std::filesystem::path(CLIPLENS_SOURCE_DIR) / "tests/data";

std::string SmallMergesText() { return ReadTextFile(kData / "tokenizer_merges.txt", 1 << 20); }
Merges SmallMerges() { return ParseMerges(SmallMergesText(), "small"); }

const Json& Cases() {
  static const Json cases = ReadJsonFile(kData / "tokenizer_cases.json");
  return cases;
}

Ids WithoutZeros(Ids ids) {
  while (!ids.empty() && ids.back() == 0) ids.pop_back();
  return ids;
}

// Compares with column `column` of the cases: 1 with CLIP's vocabulary, 2 with the small one.
void ExpectCases(const Tokenizer& tokenizer, std::size_t column) {
  ASSERT_GT(Cases()["cases"].size(), 500u);
  for (const Json& test : Cases()["cases"]) {
    const std::string text = test[0].get<std::string>();
    const Tokens tokens = tokenizer.Encode(text);
    EXPECT_EQ(static_cast<Index>(tokens.ids.size()), tokenizer.context_length());
    EXPECT_EQ(WithoutZeros(tokens.ids), test[column].get<Ids>()) << test[0].dump();
  }
}

Index CaseContext(std::size_t column) { return Cases()["context"][column - 1].get<Index>(); }

// vocab.json for the small merges, numbered as the reference numbers them, in the spelling of
// Hugging Face's files.
Json SmallVocabJson() {
  const Vocabulary vocabulary = VocabularyFromMerges(SmallMerges(), "small");
  std::map<std::int32_t, std::string> tokens;
  for (const auto& [token, id] : vocabulary.ids) tokens[id] = token;
  Json json = Json::object();
  for (auto& [id, token] : tokens) {
    if (token == "<start_of_text>") token = "<|startoftext|>";
    if (token == "<end_of_text>") token = "<|endoftext|>";
    json[token] = id;
  }
  return json;
}

Json SmallTokenizerJson(bool pairs) {
  Json merges = Json::array();
  for (const auto& [left, right] : SmallMerges()) {
    if (pairs) {
      merges.push_back(Json::array({left, right}));
    } else {
      merges.push_back(left + " " + right);
    }
  }
  Json vocab = SmallVocabJson();
  const Json start = {{"id", vocab["<|startoftext|>"]}, {"content", "<|startoftext|>"}};
  const Json end = {{"id", vocab["<|endoftext|>"]}, {"content", "<|endoftext|>"}};
  vocab.erase("<|startoftext|>");  // as some files have it: special tokens in added_tokens alone
  return {{"version", "1.0"},
          {"added_tokens", Json::array({start, end})},
          {"model",
           {{"type", "BPE"},
            {"unk_token", "<|endoftext|>"},
            {"continuing_subword_prefix", ""},
            {"end_of_word_suffix", "</w>"},
            {"fuse_unk", false},
            {"vocab", vocab},
            {"merges", merges}}}};
}

TEST(Tokenizer, IdsAreTheReferencesWithASmallVocabulary) {
  ExpectCases(Tokenizer::FromMerges(SmallMerges(), CaseContext(2)), 2);
}

TEST(Tokenizer, IdsAreTheReferencesWithClipsVocabulary) {
  if (ClipMergesText().empty()) GTEST_SKIP() << "built with CLIPLENS_CLIP_VOCABULARY=OFF";
  const TemporaryDirectory directory;
  const Tokenizer tokenizer = Tokenizer::Load(directory.path(), CaseContext(1));
  EXPECT_EQ(tokenizer.vocabulary_size(), 49408);
  ExpectCases(tokenizer, 1);
}

TEST(Tokenizer, EveryLayoutOfTheFilesGivesTheSameIds) {
  const Tokenizer expected = Tokenizer::FromMerges(SmallMerges(), 24);
  const std::string text = SmallMergesText();
  const std::string without_header = text.substr(text.find('\n') + 1);
  const std::string without_newline = text.substr(0, text.size() - 1);
  std::string windows;
  for (char c : text) windows += c == '\n' ? "\r\n" : std::string(1, c);
  const std::string vocab = DumpJson(SmallVocabJson());
  const std::vector<std::map<std::string, std::string>> layouts = {
      {{"merges.txt", text}},
      {{"merges.txt", without_header}},
      {{"merges.txt", without_newline}},
      {{"merges.txt", text + "\n\n"}},
      {{"merges.txt", windows}},
      {{"merges.txt", text}, {"vocab.json", vocab}},
      {{"tokenizer.json", DumpJson(SmallTokenizerJson(false))}},
      {{"tokenizer.json", DumpJson(SmallTokenizerJson(true))}},
      {{"merges.txt", text}, {"vocab.json", vocab}, {"tokenizer.json", "not read"}},
  };
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    SCOPED_TRACE(i);
    const TemporaryDirectory directory;
    for (const auto& [name, content] : layouts[i]) directory.Write(name, content);
    const Tokenizer tokenizer = Tokenizer::Load(directory.path(), 24);
    EXPECT_EQ(tokenizer.vocabulary_size(), expected.vocabulary_size());
    for (const char* words : {"a photo of the cat", "Straße & naïve 漢字 😀!", ""}) {
      EXPECT_EQ(tokenizer.Encode(words).ids, expected.Encode(words).ids) << words;
    }
  }
}

TEST(Tokenizer, SpecialTokensAreSpelledAsTheVocabularySpellsThem) {
  const TemporaryDirectory directory;
  directory.Write("merges.txt", SmallMergesText());
  Json vocab = SmallVocabJson();
  directory.Write("vocab.json", DumpJson(vocab));
  const std::int32_t start = vocab["<|startoftext|>"].get<std::int32_t>();
  const std::int32_t end = vocab["<|endoftext|>"].get<std::int32_t>();
  const Tokenizer hugging_face = Tokenizer::Load(directory.path(), 24);
  EXPECT_EQ(WithoutZeros(hugging_face.Encode("<|STARTOFTEXT|>").ids), (Ids{start, start, end}));
  EXPECT_GT(WithoutZeros(hugging_face.Encode("<start_of_text>").ids).size(), 3u);

  vocab.erase("<|startoftext|>");
  vocab["[begin]"] = start;
  directory.Write("vocab.json", DumpJson(vocab));
  ExpectError(ErrorCode::kCorruptData, "no token <|startoftext|> or <start_of_text>",
              [&] { Tokenizer::Load(directory.path(), 24); });
  directory.Write("special_tokens_map.json", R"({"bos_token": {"content": "[begin]"}})");
  const Tokenizer named = Tokenizer::Load(directory.path(), 24);
  EXPECT_EQ(WithoutZeros(named.Encode("").ids), (Ids{start, end}));
}

TEST(Tokenizer, LongTextsAreCutAndEndInTheEndToken) {
  const Merges none;
  const Tokenizer tokenizer = Tokenizer::FromMerges(none, 6);
  const std::int32_t start = 512;
  const std::int32_t end = 513;
  const auto id = [](char c) { return 256 + c - '!'; };  // a letter that is a word

  const Tokens fits = tokenizer.Encode("a b c d");
  EXPECT_EQ(fits.ids, (Ids{start, id('a'), id('b'), id('c'), id('d'), end}));
  EXPECT_FALSE(fits.truncated);
  EXPECT_EQ(fits.end, 5);

  const Tokens cut = tokenizer.Encode("a b c d e");
  EXPECT_EQ(cut.ids, fits.ids);
  EXPECT_TRUE(cut.truncated);

  const Tokens empty = tokenizer.Encode(" \n ");
  EXPECT_EQ(empty.ids, (Ids{start, end, 0, 0, 0, 0}));
  EXPECT_EQ(empty.end, 1);
  EXPECT_FALSE(empty.truncated);

  EXPECT_EQ(Tokenizer::FromMerges(none, 1).Encode("a").ids, (Ids{end}));
}

TEST(Tokenizer, ARowBehindTheText) {
  const TemporaryDirectory directory;
  directory.Write("merges.txt", SmallMergesText());
  const Tokenizer plain = Tokenizer::Load(directory.path(), 6);
  const Tokenizer tokenizer = Tokenizer::Load(directory.path(), 6, "", TextTail::kClassRow);
  const auto words = [&](const Tokens& tokens) {
    std::vector<std::string> spelled;
    for (const TextWord& word : tokenizer.Words(tokens)) spelled.push_back(word.text);
    return spelled;
  };
  // A place of padding lies between the two, as long as there is one.
  const std::pair<const char*, Index> texts[] = {{"", 3}, {"1 2 3", 6}, {"1 2 3 4", 6}};
  for (const auto& [text, row] : texts) {
    SCOPED_TRACE(text);
    const Tokens tokens = tokenizer.Encode(text);
    EXPECT_EQ(tokens.end, row);
    EXPECT_EQ(tokens.ids.size(), 7u);
    EXPECT_EQ(Ids(tokens.ids.begin(), tokens.ids.end() - 1), plain.Encode(text).ids);
    EXPECT_EQ(tokens.count, plain.Encode(text).count);
  }
  using Words = std::vector<std::string>;
  EXPECT_EQ(words(tokenizer.Encode("1 2")),
            (Words{kStartWord, "1", "2", kEndWord, kPaddingWord, kClassWord}));
  EXPECT_EQ(words(tokenizer.Encode("1 2 3 4")),
            (Words{kStartWord, "1", "2", "3", "4", kEndWord, kClassWord}));
}

// The row that is pooled is the first end token's: the text may hold one itself.
TEST(Tokenizer, WordsAreWhatTheTokensSpell) {
  const Tokenizer tokenizer = Tokenizer::FromMerges({{"r", "e"}, {"re", "d</w>"}}, 30);
  const auto words = [&](std::string_view text) {
    std::vector<std::string> spelled;
    Index next = 0;
    for (const TextWord& word : tokenizer.Words(tokenizer.Encode(text))) {
      EXPECT_EQ(word.begin, next);
      EXPECT_LT(word.begin, word.end);
      next = word.end;
      spelled.push_back(word.text);
    }
    EXPECT_EQ(next, tokenizer.Encode(text).end + 1);
    return spelled;
  };
  using Words = std::vector<std::string>;
  EXPECT_EQ(words("A  Red café, 12!"),
            (Words{kStartWord, "a", "red", "café", ",", "1", "2", "!", kEndWord}));
  EXPECT_EQ(words(""), (Words{kStartWord, kEndWord}));
  // Cut within a word: what is left of it.
  const Words cut = words("a " + std::string(60, 'x'));
  EXPECT_EQ(cut.size(), 4u);
  EXPECT_EQ(cut[2], std::string(27, 'x'));
}

TEST(Tokenizer, TheFirstEndTokenCounts) {
  const Tokens tokens = Tokenizer::FromMerges({}, 8).Encode("a<end_of_text>b");
  EXPECT_EQ(tokens.end, 2);
  EXPECT_EQ(tokens.ids[2], 513);
  EXPECT_EQ(tokens.ids[4], 513);
}

TEST(Tokenizer, BytesThatAreNotUtf8AreNamed) {
  const Tokenizer tokenizer = Tokenizer::FromMerges({}, 8);
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"caf\xE9", "byte 3 of 4 is 0xE9"},          {"\x80", "byte 0 of 1 is 0x80"},
      {"ab\xC0\x80", "byte 2 of 4 is 0xC0"},       {"a\xED\xA0\x80", "byte 1 of 4 is 0xED"},
      {"\xF4\x90\x80\x80", "byte 0 of 4 is 0xF4"}, {"\xE0\x80\x80", "byte 0 of 3 is 0xE0"},
      {"\xE6\xBC", "byte 0 of 2 is 0xE6"},         {"\xFF", "byte 0 of 1 is 0xFF"},
  };
  for (const auto& test : cases) {
    ExpectError(ErrorCode::kInvalidArgument, test.second, [&] { tokenizer.Encode(test.first); });
  }
}

TEST(Tokenizer, ContextMustBeSensible) {
  for (const Index context : {Index{0}, Index{-5}, Index{1} << 40}) {
    ExpectError(ErrorCode::kInvalidArgument, std::to_string(context),
                [&] { Tokenizer::FromMerges({}, context); });
  }
}

TEST(Tokenizer, AVocabularyThatContradictsItselfIsRefused) {
  const std::string merges = "#version: 0.2\na b\nab c\n";
  Json vocab = Json::object();
  const Vocabulary numbered = VocabularyFromMerges({{"a", "b"}, {"ab", "c"}}, "two merges");
  for (const auto& [token, id] : numbered.ids) vocab[token] = id;
  const auto with = [&](const std::string& token, const Json& id) {
    Json changed = vocab;
    changed[token] = id;
    return DumpJson(changed);
  };
  const auto without = [&](const std::string& token) {
    Json changed = vocab;
    changed.erase(token);
    return DumpJson(changed);
  };
  const std::string good = DumpJson(vocab);
  using Case = std::tuple<std::string, std::string, ErrorCode, std::string>;
  const std::vector<Case> cases = {
      {with("abc", -1), merges, ErrorCode::kCorruptData, "the id of \"abc\" is -1"},
      {with("abc", 1.5), merges, ErrorCode::kCorruptData, "the id of \"abc\" is 1.5"},
      {with("abc", "7"), merges, ErrorCode::kCorruptData, "the id of \"abc\" is \"7\""},
      {with("abc", 1 << 24), merges, ErrorCode::kCorruptData, "it must be a whole number from 0"},
      {with("abc", std::uint64_t{1} << 63), merges, ErrorCode::kCorruptData, "the id of \"abc\""},
      {with("new", vocab["abc"]), merges, ErrorCode::kCorruptData, "have the same id"},
      {without("abc"), merges, ErrorCode::kCorruptData, "no token \"abc\""},
      {without("<start_of_text>"), merges, ErrorCode::kCorruptData, "no token <|startoftext|>"},
      {"[]", merges, ErrorCode::kCorruptData, "must be an object"},
      {"{}", merges, ErrorCode::kCorruptData, "must be an object"},
      {"{\"a\": 1, \"a\": 2}", merges, ErrorCode::kCorruptData, "stands twice"},
      {"{\"a\": 0, \"b\": 1}", merges, ErrorCode::kUnsupported, "no token ends in </w>"},
      {good, "a b\nab c\na b\n", ErrorCode::kCorruptData, "merge 3 (\"a b\") is merge 1 again"},
      {good, "a b\nab\n", ErrorCode::kCorruptData, "line 2 must be two tokens, it is \"ab\""},
      {good, "a b c\n", ErrorCode::kCorruptData, "line 1 must be two tokens"},
      {good, "a b\n\nab c\n", ErrorCode::kCorruptData, "line 2 is empty"},
      {good, "a q\n", ErrorCode::kCorruptData, "no token \"aq\""},
      {good, "", ErrorCode::kCorruptData, "merges.txt: the file is empty"},
  };
  for (const auto& [vocab_text, merges_text, code, words] : cases) {
    const TemporaryDirectory directory;
    directory.Write("vocab.json", vocab_text);
    directory.Write("merges.txt", merges_text);
    ExpectError(code, words, [&] { Tokenizer::Load(directory.path(), 8); });
  }
  const TemporaryDirectory directory;
  directory.Write("vocab.json", good);
  ExpectError(ErrorCode::kNotFound, "merges.txt is missing",
              [&] { Tokenizer::Load(directory.path(), 8); });
  directory.Write("merges.txt", merges);
  EXPECT_EQ(Tokenizer::Load(directory.path(), 8).vocabulary_size(), 516);
}

TEST(Tokenizer, TokenizerFilesOfOtherKindsAreRefused) {
  const auto refused = [](ErrorCode code, const std::string& words, const auto& change) {
    Json json = SmallTokenizerJson(true);
    change(json);
    const TemporaryDirectory directory;
    directory.Write("tokenizer.json", DumpJson(json));
    ExpectError(code, words, [&] { Tokenizer::Load(directory.path(), 8); });
  };
  const ErrorCode unsupported = ErrorCode::kUnsupported;
  const ErrorCode corrupt = ErrorCode::kCorruptData;
  refused(unsupported, "\"Unigram\"", [](Json& j) { j["model"]["type"] = "Unigram"; });
  refused(unsupported, "end_of_word", [](Json& j) { j["model"]["end_of_word_suffix"] = nullptr; });
  refused(unsupported, "fuse_unk", [](Json& j) { j["model"]["fuse_unk"] = true; });
  refused(unsupported, "prefix", [](Json& j) { j["model"]["continuing_subword_prefix"] = "##"; });
  refused(corrupt, "\"model\"", [](Json& j) { j.erase("model"); });
  refused(corrupt, "\"merges\"", [](Json& j) { j["model"]["merges"] = 3; });
  refused(corrupt, "merge 1 must be two tokens", [](Json& j) { j["model"]["merges"][0] = "abc"; });
  refused(corrupt, "in added_tokens", [](Json& j) { j["added_tokens"][1]["id"] = 3; });
  refused(corrupt, "\"content\" is missing",
          [](Json& j) { j["added_tokens"][0].erase("content"); });
}

// Bytes without a token: the unknown token where the files name one, else an error.
TEST(Tokenizer, BytesWithoutAToken) {
  Json vocab = {{"a", 0}, {"a</w>", 1}, {"<|startoftext|>", 2}, {"<|endoftext|>", 3}, {"?", 4}};
  const Json file = {{"model",
                      {{"type", "BPE"},
                       {"end_of_word_suffix", "</w>"},
                       {"vocab", vocab},
                       {"merges", Json::array()},
                       {"unk_token", "?"}}}};
  const TemporaryDirectory named;
  named.Write("tokenizer.json", DumpJson(file));
  EXPECT_EQ(WithoutZeros(Tokenizer::Load(named.path(), 8).Encode("aba").ids), (Ids{2, 0, 4, 1, 3}));

  const TemporaryDirectory unnamed;
  unnamed.Write("vocab.json", DumpJson(vocab));
  unnamed.Write("merges.txt", "#version: 0.2\n");
  const Tokenizer tokenizer = Tokenizer::Load(unnamed.path(), 8);
  EXPECT_EQ(WithoutZeros(tokenizer.Encode("aa").ids), (Ids{2, 0, 1, 3}));
  ExpectError(ErrorCode::kInvalidArgument, "no token for the byte 0x62 at the end of a word",
              [&] { tokenizer.Encode("ab"); });
}

TEST(Tokenizer, ADirectoryWithoutAVocabularyTakesClipsOwnOrSaysWhatToDo) {
  const TemporaryDirectory directory;
  if (!ClipMergesText().empty()) {  // built with CLIP's vocabulary
    EXPECT_EQ(Tokenizer::Load(directory.path(), 77).vocabulary_size(), 49'408);
    return;
  }
  ExpectError(ErrorCode::kNotFound, "tools/fetch_clip_vocabulary.py",
              [&] { Tokenizer::Load(directory.path(), 77); });
}

TEST(Tokenizer, EncodeMayRunOnManyThreads) {
  const Tokenizer tokenizer = Tokenizer::FromMerges(SmallMerges(), CaseContext(2));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { ExpectCases(tokenizer, 2); });
  for (std::thread& thread : threads) thread.join();
}

// Texts that would take a careless tokenizer minutes.
TEST(Tokenizer, HostileTextsTakeNoLongTime) {
  const Tokenizer tokenizer = Tokenizer::FromMerges(SmallMerges(), 77);
  std::mt19937 random(1);
  std::string letters;
  std::string marks = "a";
  std::string references = "&";
  for (int i = 0; i < 1'000'000; ++i) letters += static_cast<char>('a' + random() % 26);
  for (int i = 0; i < 300'000; ++i) marks += random() % 2 == 0 ? "\u0301" : "\u0323";
  for (int i = 0; i < 250'000; ++i) references += "amp;";
  for (const std::string& text : {letters, std::string(1'000'000, 'a'), marks}) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_TRUE(tokenizer.Encode(text).truncated);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(seconds.count(), 20.0);  // far above what an idle machine takes: 0.4
  }
  ExpectError(ErrorCode::kExhausted, "changes with every repair",
              [&] { tokenizer.Encode(references); });
  ExpectError(ErrorCode::kExhausted, "67108864",
              [&] { tokenizer.Encode(std::string((std::size_t{64} << 20) + 1, 'a')); });
}

// The procedure of the paper, word for word: the lowest merge, wherever it occurs, again and again.
std::vector<std::string> RefMerge(const Merges& merges, std::vector<std::string> word) {
  std::map<std::pair<std::string, std::string>, std::size_t> rank_of;
  for (std::size_t i = 0; i < merges.size(); ++i) rank_of[merges[i]] = i;
  while (true) {
    std::size_t lowest = merges.size();
    for (std::size_t i = 0; i + 1 < word.size(); ++i) {
      const auto found = rank_of.find({word[i], word[i + 1]});
      if (found != rank_of.end()) lowest = std::min(lowest, found->second);
    }
    if (lowest == merges.size()) return word;
    std::vector<std::string> joined;
    for (std::size_t i = 0; i < word.size(); ++i) {
      if (i + 1 < word.size() && std::pair(word[i], word[i + 1]) == merges[lowest]) {
        joined.push_back(word[i] + word[i + 1]);
        ++i;
      } else {
        joined.push_back(word[i]);
      }
    }
    word = joined;
  }
}

// Random merges in random order: unlike learned ones they may join what a later merge makes first.
TEST(BytePairs, EqualsThePlainProcedure) {
  std::mt19937 random(3);
  for (int round = 0; round < 40; ++round) {
    std::vector<std::string> tokens = {"a", "b", "c", "a</w>", "b</w>", "c</w>"};
    Merges merges;
    while (merges.size() < 40) {
      const std::pair<std::string, std::string> merge = {tokens[random() % tokens.size()],
                                                         tokens[random() % tokens.size()]};
      if (merge.first.ends_with(kWordEnd) ||
          std::find(merges.begin(), merges.end(), merge) != merges.end()) {
        continue;
      }
      merges.push_back(merge);
      tokens.push_back(merge.first + merge.second);
    }
    std::shuffle(merges.begin(), merges.end(), random);
    const Vocabulary vocabulary = VocabularyFromMerges(merges, "random");
    const BytePairs pairs(vocabulary);
    for (int i = 0; i < 40; ++i) {
      std::string text(1 + random() % (i % 2 == 0 ? 20 : 200), ' ');
      std::vector<std::string> word;
      for (char& c : text) {
        c = static_cast<char>('a' + random() % 3);
        word.emplace_back(1, c);
      }
      word.back() += kWordEnd;
      Ids expected;
      for (const std::string& token : RefMerge(merges, word)) {
        expected.push_back(vocabulary.ids.at(token));
      }
      Ids ids;
      pairs.Encode(text, ids);
      ASSERT_EQ(ids, expected) << text;
    }
  }
}

// CLIP's vocabulary would give other ids than the one that the configuration names.
TEST(Tokenizer, WhereAnotherOneIsNamedClipsDoesNotStandIn) {
  const TemporaryDirectory directory;
  ExpectError(ErrorCode::kNotFound, "the tokenizer 'xlm-roberta-base'",
              [&] { Tokenizer::Load(directory.path(), 8, "xlm-roberta-base"); });
}

}  // namespace
}  // namespace cliplens
