#include "cliplens/model/unigram.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

#include "cliplens/model/added_token_finder.h"
#include "cliplens/model/character_map.h"
#include "cliplens/model/piece_trie.h"
#include "cliplens/model/text_steps.h"
#include "cliplens/model/word_pieces.h"

namespace cliplens {
namespace {

using Ids = std::vector<std::int32_t>;

std::string RandomText(std::mt19937& random, std::size_t longest) {
  std::string text(random() % (longest + 1), 'a');
  for (char& c : text) c = "abc"[random() % 3];
  return text;
}

TEST(PieceTrie, FindsThePrefixesThatAComparisonFinds) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::map<std::string, std::int32_t> pieces;
    for (unsigned i = 0; i < 1 + random() % 20; ++i)
      pieces[RandomText(random, 4)] = round + static_cast<int>(i);
    const PieceTrie trie({pieces.begin(), pieces.end()});
    const std::string text = RandomText(random, 8);
    std::vector<std::pair<std::size_t, std::int32_t>> found;
    trie.ForPrefixes(
        text, [&](std::size_t length, std::int32_t value) { found.emplace_back(length, value); });
    std::vector<std::pair<std::size_t, std::int32_t>> wanted;
    for (std::size_t length = 1; length <= text.size(); ++length) {
      const auto piece = pieces.find(text.substr(0, length));
      if (piece != pieces.end()) wanted.emplace_back(length, piece->second);
    }
    EXPECT_EQ(found, wanted);
    const auto whole = pieces.find(text);
    EXPECT_EQ(trie.Find(text),
              whole == pieces.end() || text.empty() ? std::nullopt : std::optional(whole->second));
  }
  EXPECT_EQ(PieceTrie({{"a", 1}, {"a", 2}}).Find("a"), 2);
  EXPECT_EQ(PieceTrie().Find("a"), std::nullopt);
}

// The largest sum over all splits, where a character without piece scores `unknown`.
double BestSum(const std::vector<UnigramPiece>& pieces, std::string_view text, double unknown) {
  if (text.empty()) return 0;
  double best = -1e30;
  bool alone = false;
  for (const UnigramPiece& piece : pieces) {
    if (!text.starts_with(piece.text)) continue;
    alone = alone || piece.text.size() == 1;
    best = std::max(best, piece.score + BestSum(pieces, text.substr(piece.text.size()), unknown));
  }
  if (!alone) best = std::max(best, unknown + BestSum(pieces, text.substr(1), unknown));
  return best;
}

TEST(Unigram, TheSplitHasTheLargestSumOfAll) {
  std::mt19937 random(2);
  for (int round = 0; round < 100; ++round) {
    std::map<std::string, double> scores;
    for (int i = 0; i < 8; ++i) {
      scores["x" + RandomText(random, 0) + RandomText(random, 3)] =
          0;  // never found: no x in texts
      const std::string text = RandomText(random, 3);
      if (!text.empty()) scores[text] = -static_cast<double>(random() % 64) / 8;
    }
    std::vector<UnigramPiece> pieces = {{.text = "?"}};
    double lowest = 0;
    for (const auto& [text, score] : scores) {
      pieces.push_back({.text = text, .score = score});
      lowest = std::min(lowest, score);
    }
    const Unigram unigram({.pieces = pieces}, "pieces");
    const std::string text = RandomText(random, 9);
    Ids ids;
    unigram.Encode(text, ids);
    // Runs of unknown characters are one token, so only splits without them tell their sum.
    if (std::find(ids.begin(), ids.end(), 0) != ids.end()) continue;
    double sum = 0;
    std::string joined;
    for (const std::int32_t id : ids) {
      sum += pieces[static_cast<std::size_t>(id)].score;
      joined += pieces[static_cast<std::size_t>(id)].text;
    }
    EXPECT_EQ(joined, text);
    EXPECT_EQ(sum, BestSum(pieces, text, lowest - 10));
  }
}

TEST(Unigram, CharactersWithoutPieceAreOneUnknownOrBytes) {
  UnigramVocabulary vocabulary{.pieces = {{.text = "<unk>"}, {.text = "a", .score = -1}}};
  const auto encode = [&](std::string_view text) {
    Ids ids;
    Unigram(vocabulary, "pieces").Encode(text, ids);
    return ids;
  };
  EXPECT_EQ(encode("abca\xC3\xA9"), (Ids{1, 0, 1, 0}));
  vocabulary.byte_fallback = true;  // but no bytes are there
  EXPECT_EQ(encode("abca"), (Ids{1, 0, 1}));
  vocabulary.pieces.push_back({.text = "<0x62>"});
  vocabulary.pieces.push_back({.text = "<0xC3>"});
  EXPECT_EQ(encode("abba"), (Ids{1, 2, 2, 1}));
  EXPECT_EQ(encode("a\xC3\xA9"), (Ids{1, 0}));
  vocabulary.byte_fallback = false;
  vocabulary.unknown.reset();
  ExpectError(ErrorCode::kInvalidArgument, "no piece for \"b\"", [&] { encode("ab"); });
}

// A double array for byte sequences of which none begins another: a block for each byte.
std::string MapOf(std::string_view key, std::string_view replacement) {
  std::vector<std::uint32_t> units(256 * (key.size() + 2));
  std::uint32_t at = 0;
  for (std::size_t i = 0; i < key.size(); ++i) {
    const std::uint32_t offset = (at & ~0xFFu) ^ static_cast<std::uint32_t>(256 * (i + 1));
    units[at] |= offset << 10;
    at ^= offset ^ static_cast<unsigned char>(key[i]);
    units[at] = static_cast<unsigned char>(key[i]);
  }
  const std::uint32_t offset = (at & ~0xFFu) ^ static_cast<std::uint32_t>(256 * (key.size() + 1));
  units[at] |= offset << 10 | 1u << 8;
  units[at ^ offset] = 0x80000000u;
  const auto size = static_cast<std::uint32_t>(units.size() * 4);
  std::string bytes(4 + size, '\0');
  std::memcpy(bytes.data(), &size, 4);
  std::memcpy(bytes.data() + 4, units.data(), size);
  return bytes + std::string(replacement) + '\0';
}

TEST(CharacterMap, FindsWhatItsFileSays) {
  const CharacterMap map = CharacterMap::Parse(MapOf("e\xCC\x81", "\xC3\xA9"), "a map");
  EXPECT_EQ(map.Longest("e\xCC\x81t").length, 3u);
  EXPECT_EQ(map.Longest("e\xCC\x81t").replacement, "\xC3\xA9");
  EXPECT_EQ(map.Longest("e").length, 0u);
  EXPECT_EQ(map.Shortest("e\xCC\x81").replacement, "\xC3\xA9");
  EXPECT_TRUE(CharacterMap::Parse("", "a map").empty());
  EXPECT_EQ(CharacterMap().Longest("e").length, 0u);
}

TEST(CharacterMap, EveryChangeOfItsArrayIsAnErrorOrSafe) {
  const std::string whole = MapOf("ab", "x");
  std::mt19937 random(3);
  int refused = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string changed = whole;
    const int changes = 1 + static_cast<int>(random() % 40);
    for (int i = 0; i < changes; ++i)
      changed[random() % changed.size()] = static_cast<char>(random());
    try {
      const CharacterMap map = CharacterMap::Parse(changed, "a map");
      for (const char* text : {"ab", "abab", "\xFF\xFF\xFF", "zz"}) {
        EXPECT_LE(map.Longest(text).length, std::string_view(text).size());
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
  for (std::size_t size = 1; size < whole.size(); ++size) {
    EXPECT_THROW(CharacterMap::Parse(std::string_view(whole).substr(0, size), "a map"), Error);
  }
  // An array that leads back to itself ends no walk early and none late.
  std::vector<std::uint32_t> loop(256);
  for (std::uint32_t byte = 0; byte < 256; ++byte) loop[byte] = byte | byte << 10;
  std::string bytes(4 + 1024, '\0');
  bytes[1] = 4;
  std::memcpy(bytes.data() + 4, loop.data(), 1024);
  const CharacterMap map = CharacterMap::Parse(bytes + std::string("x\0", 2), "a map");
  EXPECT_EQ(map.Longest(std::string(1000, 'a')).length, 0u);
}

TEST(WordPieces, TakesTheLongestPieceEachTime) {
  const WordPieces pieces(
      {.ids = {{"[UNK]", 0}, {"un", 1}, {"##like", 2}, {"##li", 3}, {"u", 4}}, .longest_word = 8});
  const auto encode = [&](std::string_view word) {
    Ids ids;
    pieces.Encode(word, ids);
    return ids;
  };
  EXPECT_EQ(encode("unlike"), (Ids{1, 2}));
  EXPECT_EQ(encode("unlili"), (Ids{1, 3, 3}));
  EXPECT_EQ(encode("unlik"), (Ids{0}));
  EXPECT_EQ(encode("unlililike"), (Ids{0}));  // longer than eight characters
  EXPECT_EQ(encode("ulike"), (Ids{4, 2}));
}

TEST(AddedTokenFinder, TakesTheLongestAndItsBlanks) {
  const AddedTokenFinder finder(
      {{.text = "<m>", .id = 1, .normalized = false, .strips_left = true},
       {.text = "<m>x", .id = 2, .normalized = false, .strips_right = true},
       {.text = "\xC3\xA9", .id = 3, .normalized = false}});
  std::vector<std::string> parts;
  const auto split = [&](std::string_view text) {
    parts.clear();
    finder.Split(
        text, [&](std::string_view part) { return parts.emplace_back(part), true; },
        [&](std::int32_t id) { return parts.push_back(std::to_string(id)), true; });
    return parts;
  };
  using Parts = std::vector<std::string>;
  EXPECT_EQ(split("a \xE3\x80\x80<m> b"), (Parts{"a", "1", " b"}));
  EXPECT_EQ(split("a <m>x  b\xC3\xA9"), (Parts{"a ", "2", "b", "3"}));
  EXPECT_EQ(split("<m>x <m>"), (Parts{"2", "1"}));
  EXPECT_EQ(split(""), Parts{});
  EXPECT_EQ(split("<m"), (Parts{"<m"}));
}

TEST(TextSteps, AStepThatMakesTextsEndlessIsStopped) {
  TextSteps steps;
  for (int i = 0; i < 60; ++i) {
    steps.AddNormalizer({{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aaaa"}},
                        "a file");
  }
  std::string text = "a";
  ExpectError(ErrorCode::kExhausted, "67108864", [&] { steps.Normalize(text); });
  ExpectError(ErrorCode::kExhausted, "64 steps", [] {
    TextSteps many;
    for (int i = 0; i < 65; ++i) many.AddNormalizer({{"type", "Lowercase"}}, "a file");
  });
}

}  // namespace
}  // namespace cliplens
