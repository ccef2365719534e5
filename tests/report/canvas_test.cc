#include "cliplens/report/canvas.h"

#include <algorithm>
#include <cstdlib>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

Index Ink(const Canvas& canvas) {
  const std::vector<std::uint8_t>& pixels = canvas.image().pixels;
  return std::ranges::count_if(pixels, [](std::uint8_t v) { return v < 128; });
}

TEST(Canvas, TextStandsWhereItIsPut) {
  Canvas canvas(120, 40);
  canvas.Text({.x = 60, .y = 25, .size = 14}, "duck");
  Index left = 120, right = 0, bottom = 0;
  for (Index y = 0; y < 40; ++y) {
    for (Index x = 0; x < 120; ++x) {
      if (At(canvas.image().pixels, 3 * (y * 120 + x)) > 200) continue;
      left = std::min(left, x);
      right = std::max(right, x);
      bottom = std::max(bottom, y);
    }
  }
  EXPECT_LE(std::abs(left - 60), 2);
  EXPECT_LE(std::abs(right - 60 - canvas.TextWidth("duck", 14)), 2);
  EXPECT_EQ(bottom, 24);  // letters stand on the line, none goes below it
  Canvas again(120, 40);
  again.Text(
      {.x = 60 + again.TextWidth("duck", 14), .y = 25, .size = 14, .align = TextAlign::kRight},
      "duck");
  EXPECT_EQ(again.image().pixels, canvas.image().pixels);
}

TEST(Canvas, AnyBytesAreDrawnAndNothingLeavesTheSheet) {
  Canvas canvas(30, 12);
  for (const std::string_view text :
       {std::string_view("\xff\xfe\x80"), std::string_view("a\0b\n\x1b[2J", 8),
        std::string_view("žluťoučký кит 鯨 🦆"), std::string_view("")}) {
    canvas.Text({.x = -8, .y = 4, .size = 30}, text);
    canvas.Text({.x = 25, .y = 14, .size = 1}, text);
  }
  canvas.Fill(-5, -5, 100, 7, kInk);
  canvas.Frame(28, 10, 9, 9, kInk);
  Image picture;
  picture.width = picture.height = 4;
  picture.pixels.assign(48, 10);
  canvas.Paste(picture, 28, -2);
  EXPECT_GT(Ink(canvas), 0);
  picture.mode = PixelMode::kGray;
  ExpectError(ErrorCode::kInvalidArgument, "RGB is wanted", [&] { canvas.Paste(picture, 0, 0); });
  ExpectError(ErrorCode::kExhausted, "the limit is", [] { Canvas(1'000'000, 1'000'000); });
}

TEST(Canvas, LettersThatTheFontLacksAreToldApart) {
  const auto drawn = [](std::string_view text) {
    Canvas canvas(160, 30);
    canvas.Text({.x = 2, .y = 20, .size = 14}, text);
    return canvas.image().pixels;
  };
  EXPECT_NE(drawn("鯨"), drawn("鮪"));
  EXPECT_EQ(drawn("a 鯨"), drawn("a [U+9BE8]"));
  EXPECT_EQ(drawn("🐋"), drawn("[U+1F40B]"));
  EXPECT_EQ(drawn("a\u202eb"), drawn("a[U+202E]b"));
  EXPECT_EQ(Canvas(1, 1).TextWidth("鯨", 14), Canvas(1, 1).TextWidth("[U+9BE8]", 14));
}

TEST(Canvas, LinesAreCutToTheirRoom) {
  Canvas canvas(10, 10);
  const std::string text = "a picture of a very long crocodile in the desert";
  EXPECT_EQ(canvas.Fit(text, 13, 10'000), text);
  const std::string cut = canvas.Fit(text, 13, 120);
  EXPECT_TRUE(cut.starts_with("a picture") && cut.ends_with("…")) << cut;
  EXPECT_LE(canvas.TextWidth(cut, 13), 120);
  const std::vector<std::string> lines = canvas.Wrap(text, 13, 160, 2);
  ASSERT_EQ(lines.size(), 2u);
  for (const std::string& line : lines) EXPECT_LE(canvas.TextWidth(line, 13), 160);
  EXPECT_EQ(canvas.Wrap("two words", 13, 1'000, 2), std::vector<std::string>{"two words"});
  EXPECT_EQ(canvas.Wrap("Donaudampfschifffahrt", 13, 50, 2).size(), 1u);
}

}  // namespace
}  // namespace cliplens
