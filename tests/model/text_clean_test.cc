#include "cliplens/model/text_clean.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/expect_error.h"
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cliplens/io/json.h"
#include "cliplens/model/text/html_entities.h"
#include "cliplens/model/text/unicode.h"

namespace cliplens {
namespace {

std::string Clean(const std::string& text) { return EncodeUtf8(CleanText(text)); }

void ExpectClean(const std::vector<std::pair<std::string, std::string>>& cases) {
  for (const auto& [text, clean] : cases) EXPECT_EQ(Clean(text), clean) << text;
}

// Hashes over all code points of each plane, from the reference: what this build's Unicode library
// makes of them must not depend on its version.
TEST(TextClean, EveryCodePointIsCleanedAsTheReferenceDoes) {
  const Json cases =
      ReadJsonFile(std::string(CLIPLENS_SOURCE_DIR) + "/tests/data/tokenizer_cases.json");
  ASSERT_EQ(cases["planes"].size(), 17u);
  for (char32_t plane = 0; plane < 17; ++plane) {
    std::uint64_t hash = 0xCBF29CE484222325u;
    for (char32_t c = plane << 16; c < (plane + 1) << 16; ++c) {
      if (c >= 0xD800 && c <= 0xDFFF) continue;
      const std::string text = EncodeUtf8(std::u32string{U'a', c, 0x301, c});
      for (char byte : Clean(text) + '\n') {
        hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3u;
      }
    }
    EXPECT_EQ(fmt::format("{:016x}", hash), cases["planes"][plane].get<std::string>())
        << "plane " << static_cast<unsigned>(plane);
  }
}

TEST(TextClean, WhiteSpaceAndCase) {
  ExpectClean({{"  A \t photo\n\nof\u00A0a\u2003CAT ", "a photo of a cat"},
               {"\u200B", "\u200B"},  // no white space
               {"İstanbul ΟΔΟΣ Σ ΑΣ.", "i\u0307stanbul οδος σ ας."},
               {"ΑΣ\u0301 ΑΣ'Α", "ας\u0301 ασ'α"}});
}

TEST(TextClean, CharacterReferences) {
  ExpectClean({{"caf&eacute; &amp; bar", "café & bar"},
               {"&notit; &notin;", "¬it; ∉"},
               {"&#x80;&#128;&#0;&#xD800;&#11;&#xFFFE;", "€€\uFFFD\uFFFD"},
               {"&#99999999999999999999;", "\uFFFD"},
               {"&NTILDE; &SZLIG;", "ñ ss"},
               {"&NTILDE; <", "&ntilde; <"},
               {"&amp;amp;amp;lt;", "<"},
               {"&; &# &#x &nosuchname;", "&; &# &#x &nosuchname;"},
               {"&fjlig; &nGt;", "fj ≫\u20D2"}});
}

TEST(TextClean, RepairsOfFtfy) {
  ExpectClean({{"schÃ¶n", "schön"},
               {"â€œquotedâ€\u009D", "\"quoted\""},
               {"voilÃ le travail", "voilà le travail"},
               {"Ã© í\u00A0\u00BDí\u00B8\u0080", "é 😀"},  // UTF-8 of two surrogates
               {"Ã©À\u0080x", "éx"},                      // Java's form of U+0000
               {"Ã©À\nx", "éx"},  // and what the reference takes for it at the end of a line
               {"Ã© í\u00A0\u00BDí\u00B8\nx", "é 😊x"},
               {"schön Ã", "schön ã"},  // one odd letter is no mojibake
               {"“it’s”", "\"it's\""},
               {"ﬁne ﬆ ŉ", "fine st 'n"},
               {"ＡＢＣ１ ｶﾞ　x", "abc1 ガ x"},
               {"\x1B[1;31mred\x1B[0m", "red"},
               {"a\x07"
                "b\uFEFFc\u206A",
                "abc"},
               {"one\r\ntwo\u2028three", "one two three"},
               {"e\u0301 \u1112\u1161\u11AB q\u0307\u0323", "é 한 q\u0323\u0307"}});
}

TEST(TextClean, ReferencesStayBehindATag) {
  EXPECT_EQ(EncodeUtf8(FixText(U"&eacute;\n<b>&eacute;\n&eacute;")), "é\n<b>&eacute;\n&eacute;");
}

TEST(TextClean, HtmlNamesWithAndWithoutSemicolon) {
  EXPECT_EQ(UnescapeHtml(U"&copy2020 &copy; &ampamp;"), U"©2020 © &amp;");
  EXPECT_EQ(UnescapeClosedHtml(U"&copy2020 &copy; &#59; &#12ab;"), U"&copy2020 © &#59; &#12ab;");
}

}  // namespace
}  // namespace cliplens
