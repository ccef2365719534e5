#include "cliplens/report/canvas.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <ft2build.h>
#include FT_FREETYPE_H

#include "cliplens/base/error.h"
#include "cliplens/io/code_points.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/text/unicode.h"
#include "cliplens/report/font.h"

namespace cliplens {
namespace {

std::u32string CodePoints(std::string_view text) {
  std::u32string points;
  while (!text.empty()) {
    const std::size_t length = Utf8SequenceLength(text);
    if (length == 0) {
      points += kReplacement;
    } else {
      AppendDecodedUtf8(text.substr(0, length), points);
      char32_t& last = points.back();
      if (last < 0x20 || (last >= 0x7F && last < 0xA0)) last = kReplacement;
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return points;
}

std::string Utf8(std::u32string_view points) {
  std::string text;
  for (const char32_t c : points) AppendUtf8(c, text);
  return text;
}

}  // namespace

Color Mix(Color a, Color b, double weight) {
  const auto mix = [&](int x, int y) {
    return static_cast<std::uint8_t>(std::lround(x + weight * (y - x)));
  };
  return {mix(a.red, b.red), mix(a.green, b.green), mix(a.blue, b.blue)};
}

struct Canvas::Font {
  Font() {
    const std::string_view file = FontFile();
    if (FT_Init_FreeType(&library) != 0) {
      throw Error(ErrorCode::kInternal, "FreeType cannot be started");
    }
    if (FT_New_Memory_Face(library, reinterpret_cast<const FT_Byte*>(file.data()),
                           static_cast<FT_Long>(file.size()), 0, &face) != 0) {
      FT_Done_FreeType(library);
      throw Error(ErrorCode::kInternal, "the built-in font cannot be read");
    }
  }
  ~Font() {
    FT_Done_Face(face);
    FT_Done_FreeType(library);
  }
  Font(const Font&) = delete;
  Font& operator=(const Font&) = delete;

  // Calls place(glyph, x) for each character of the line; returns its width. Null where the font
  // has no picture of a glyph.
  template <typename Place>
  Index Set(std::string_view text, Index size, Place&& place) {
    if (FT_Set_Pixel_Sizes(face, 0, static_cast<FT_UInt>(size)) != 0) {
      throw Error(ErrorCode::kInternal, "the built-in font has no size of {} pixels", size);
    }
    FT_Pos x = 0;
    FT_UInt before = 0;
    for (const char32_t c : Shown(text)) {
      const FT_UInt glyph = FT_Get_Char_Index(face, c);
      FT_Vector kerning{0, 0};
      if (before != 0 && glyph != 0) {
        FT_Get_Kerning(face, before, glyph, FT_KERNING_DEFAULT, &kerning);
      }
      if (FT_Load_Glyph(face, glyph, FT_LOAD_TARGET_LIGHT) != 0) continue;
      x += kerning.x;
      place(*face->glyph, static_cast<Index>(x >> 6));
      x += face->glyph->advance.x;
      before = glyph;
    }
    return static_cast<Index>((x + 63) >> 6);
  }

  // The characters of a line that are drawn. Those that the font does not have would all be the
  // same box, and hidden marks nothing, so the numbers of their code points stand for them.
  std::u32string Shown(std::string_view text) const {
    std::u32string shown;
    for (const char32_t c : CodePoints(text)) {
      if (FT_Get_Char_Index(face, c) != 0 && !IsHiddenMark(c)) {
        shown += c;
      } else {
        for (const char letter : fmt::format("[U+{:04X}]", static_cast<std::uint32_t>(c))) {
          shown += static_cast<char32_t>(letter);
        }
      }
    }
    return shown;
  }

  FT_Library library = nullptr;
  FT_Face face = nullptr;
};

Canvas::Canvas(Index width, Index height, Color background) : font_(std::make_unique<Font>()) {
  if (width < 1 || height < 1 || width > kMaxPixels / height) {
    throw Error(ErrorCode::kExhausted, "a sheet of {} x {} pixels: the limit is {} in all", width,
                height, kMaxPixels);
  }
  image_.width = width;
  image_.height = height;
  image_.pixels.resize(ToSize(3 * width * height));
  Fill(0, 0, width, height, background);
}

Canvas::~Canvas() = default;

void Canvas::Set(Index x, Index y, Color color) {
  if (x < 0 || y < 0 || x >= width() || y >= height()) return;
  std::uint8_t* pixel = image_.pixels.data() + 3 * (y * width() + x);
  pixel[0] = color.red;
  pixel[1] = color.green;
  pixel[2] = color.blue;
}

void Canvas::Fill(Index x, Index y, Index width, Index height, Color color) {
  for (Index row = y; row < y + height; ++row) {
    for (Index column = x; column < x + width; ++column) Set(column, row, color);
  }
}

void Canvas::Frame(Index x, Index y, Index width, Index height, Color color) {
  Fill(x, y, width, 1, color);
  Fill(x, y + height - 1, width, 1, color);
  Fill(x, y, 1, height, color);
  Fill(x + width - 1, y, 1, height, color);
}

void Canvas::Paste(const Image& rgb, Index x, Index y) {
  if (rgb.mode != PixelMode::kRgb) {
    throw Error(ErrorCode::kInvalidArgument, "a picture of mode {} on a sheet: RGB is wanted",
                NameOf(rgb.mode));
  }
  const std::uint8_t* pixel = rgb.pixels.data();
  for (Index row = 0; row < rgb.height; ++row) {
    for (Index column = 0; column < rgb.width; ++column, pixel += 3) {
      Set(x + column, y + row, {pixel[0], pixel[1], pixel[2]});
    }
  }
}

void Canvas::Text(const TextStyle& style, std::string_view text) {
  Index left = style.x;
  if (style.align != TextAlign::kLeft) {
    const Index width = TextWidth(text, style.size);
    left -= style.align == TextAlign::kRight ? width : width / 2;
  }
  font_->Set(text, style.size, [&](FT_GlyphSlotRec& glyph, Index x) {
    if (FT_Render_Glyph(&glyph, FT_RENDER_MODE_NORMAL) != 0) return;
    const FT_Bitmap& bitmap = glyph.bitmap;
    for (Index row = 0; row < static_cast<Index>(bitmap.rows); ++row) {
      for (Index column = 0; column < static_cast<Index>(bitmap.width); ++column) {
        const double ink = bitmap.buffer[row * bitmap.pitch + column] / 255.0;
        const Index at_x = left + x + glyph.bitmap_left + column;
        const Index at_y = style.y - glyph.bitmap_top + row;
        if (ink == 0 || at_x < 0 || at_y < 0 || at_x >= width() || at_y >= height()) continue;
        const std::uint8_t* under = image_.pixels.data() + 3 * (at_y * width() + at_x);
        Set(at_x, at_y, Mix({under[0], under[1], under[2]}, style.color, ink));
      }
    }
  });
}

Index Canvas::TextWidth(std::string_view text, Index size) {
  return font_->Set(text, size, [](const FT_GlyphSlotRec&, Index) {});
}

std::string Canvas::Fit(std::string_view text, Index size, Index width) {
  if (TextWidth(text, size) <= width) return std::string(text);
  std::u32string points = CodePoints(text);
  while (!points.empty()) {
    points.pop_back();
    while (!points.empty() && points.back() == U' ') points.pop_back();
    std::string cut = Utf8(points) + "…";
    if (TextWidth(cut, size) <= width) return cut;
  }
  return {};
}

std::vector<std::string> Canvas::Wrap(std::string_view text, Index size, Index width,
                                      std::size_t lines) {
  std::vector<std::string> out;
  while (!text.empty() && out.size() + 1 < lines && TextWidth(text, size) > width) {
    std::size_t fits = 0;
    for (std::size_t blank = text.find(' '); blank != std::string_view::npos;
         blank = text.find(' ', blank + 1)) {
      if (TextWidth(text.substr(0, blank), size) > width) break;
      fits = blank;
    }
    if (fits == 0) break;
    out.emplace_back(text.substr(0, fits));
    text.remove_prefix(fits + 1);
  }
  if (!text.empty()) out.push_back(Fit(text, size, width));
  return out;
}

}  // namespace cliplens
