// A picture to draw on: rectangles, other pictures, text.
//
//   Canvas canvas(640, 400);
//   canvas.Paste(picture, 16, 40);
//   canvas.Text({.x = 16, .y = 28, .size = 14}, "a photo of a duck");
//   WriteFileAtomically("sheet.png", EncodePng(canvas.image()));
//
// Text is set in DejaVu Sans, which is built in, so that a sheet has the same bytes on every
// machine. Only canvas.cc uses FreeType.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/image.h"

namespace cliplens {

struct Color {
  std::uint8_t red = 0, green = 0, blue = 0;
};
// `weight` of `b`, the rest of `a`.
Color Mix(Color a, Color b, double weight);

inline constexpr Color kPaper{255, 255, 255};
inline constexpr Color kInk{27, 29, 34};
inline constexpr Color kMuted{91, 95, 105};
inline constexpr Color kHairline{205, 203, 196};

enum class TextAlign { kLeft, kMiddle, kRight };

struct TextStyle {
  Index x = 0;      // of the side or middle that `align` names
  Index y = 0;      // of the line on which letters stand
  Index size = 13;  // pixels of an em
  Color color = kInk;
  TextAlign align = TextAlign::kLeft;
};

class Canvas {
 public:
  // Throws Error(kExhausted) above kMaxPixels.
  Canvas(Index width, Index height, Color background = kPaper);
  ~Canvas();
  Canvas(const Canvas&) = delete;
  Canvas& operator=(const Canvas&) = delete;

  const Image& image() const { return image_; }  // kRgb
  Index width() const { return image_.width; }
  Index height() const { return image_.height; }

  // What lies beside the canvas is not drawn.
  void Set(Index x, Index y, Color color);
  void Fill(Index x, Index y, Index width, Index height, Color color);
  // One pixel wide, within the rectangle.
  void Frame(Index x, Index y, Index width, Index height, Color color);
  void Paste(const Image& rgb, Index x, Index y);
  // One line. Control characters and bytes that are not UTF-8 come out as U+FFFD, what the font
  // does not have as [U+732B].
  void Text(const TextStyle& style, std::string_view text);
  // The same cut with an ellipsis to at most `width` pixels.
  void Text(const TextStyle& style, std::string_view text, Index width) {
    Text(style, Fit(text, style.size, width));
  }

  // Pixels that a line takes.
  Index TextWidth(std::string_view text, Index size);
  // `text` cut with an ellipsis to at most `width` pixels.
  std::string Fit(std::string_view text, Index size, Index width);
  // `text` in at most `lines` lines of `width` pixels, broken at blanks; the last one is cut.
  std::vector<std::string> Wrap(std::string_view text, Index size, Index width, std::size_t lines);

 private:
  struct Font;
  Image image_;
  std::unique_ptr<Font> font_;
};

}  // namespace cliplens
