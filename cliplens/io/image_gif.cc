// GIF through giflib: the first picture, on its canvas, in Pillow's modes.
#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>

#include <gif_lib.h>

#include "cliplens/base/error.h"
#include "cliplens/io/image_codecs.h"

namespace cliplens {

namespace {

// Codes of LZW have at most 12 bits, so a byte gives at most this many pixels.
constexpr Index kMaxGifRatio = 4096;

struct GifSource {
  std::span<const std::uint8_t> bytes;
  std::size_t position = 0;
  bool cut_off = false;
};

// Past the end zeros are read: they end a row of blocks. So a picture that is whole but for the end
// mark is read, as Pillow reads it.
int ReadGif(GifFileType* gif, GifByteType* to, int count) {
  auto* source = static_cast<GifSource*>(gif->UserData);
  const auto wanted = static_cast<std::size_t>(count);
  const std::size_t held = std::min(wanted, source->bytes.size() - source->position);
  std::memcpy(to, source->bytes.data() + source->position, held);
  std::memset(to + held, 0, wanted - held);
  source->position += held;
  source->cut_off = source->cut_off || held < wanted;
  return count;
}

struct GifClose {
  void operator()(GifFileType* gif) const {
    int ignored = 0;
    DGifCloseFile(gif, &ignored);
  }
};
using GifHandle = std::unique_ptr<GifFileType, GifClose>;

[[noreturn]] void ThrowGif(const internal::DecodeRequest& request, const GifSource& source,
                           int code) {
  if (source.cut_off) request.ThrowCutOff("GIF");
  const char* why = GifErrorString(code);
  request.ThrowBroken("GIF", why == nullptr ? "unknown" : why);
}

// Reads up to the first picture's header. Returns the index that is transparent.
std::optional<std::uint8_t> FindGifPicture(GifFileType* gif, const GifSource& source,
                                           const internal::DecodeRequest& request) {
  std::optional<std::uint8_t> clear;
  while (true) {
    GifRecordType type = UNDEFINED_RECORD_TYPE;
    if (DGifGetRecordType(gif, &type) == GIF_ERROR) ThrowGif(request, source, gif->Error);
    if (type == TERMINATE_RECORD_TYPE) request.ThrowBroken("GIF", "it holds no picture");
    if (type == IMAGE_DESC_RECORD_TYPE) {
      if (DGifGetImageDesc(gif) == GIF_ERROR) ThrowGif(request, source, gif->Error);
      return clear;
    }
    if (type != EXTENSION_RECORD_TYPE) continue;
    int code = 0;
    GifByteType* block = nullptr;  // its first byte is its length
    if (DGifGetExtension(gif, &code, &block) == GIF_ERROR) ThrowGif(request, source, gif->Error);
    if (code == GRAPHICS_EXT_FUNC_CODE && block != nullptr && block[0] >= 4) {
      if ((block[1] & 1) != 0) clear = block[4];
    }
    while (block != nullptr) {
      if (DGifGetExtensionNext(gif, &block) == GIF_ERROR) ThrowGif(request, source, gif->Error);
    }
  }
}

// A palette in which each colour is the grey of its index is none.
bool IsGrayRamp(const ColorMapObject& colors) {
  for (int i = 0; i < colors.ColorCount; ++i) {
    const GifColorType& color = colors.Colors[i];
    if (color.Red != i || color.Green != i || color.Blue != i) return false;
  }
  return true;
}

void ReadGifRows(GifFileType* gif, const GifSource& source, const internal::DecodeRequest& request,
                 Image* image) {
  const GifImageDesc& frame = gif->Image;
  const auto read = [&](Index y) {
    std::uint8_t* row = image->pixels.data() + (frame.Top + y) * image->width + frame.Left;
    if (DGifGetLine(gif, row, frame.Width) == GIF_ERROR) ThrowGif(request, source, gif->Error);
  };
  constexpr Index kFirst[] = {0, 4, 2, 1};
  constexpr Index kStep[] = {8, 8, 4, 2};
  if (!frame.Interlace) {
    for (Index y = 0; y < frame.Height; ++y) read(y);
    return;
  }
  for (int pass = 0; pass < 4; ++pass) {
    for (Index y = kFirst[pass]; y < frame.Height; y += kStep[pass]) read(y);
  }
}

}  // namespace

Image internal::DecodeGif(DecodeRequest& request) {
  GifSource source{request.bytes()};
  int code = 0;
  const GifHandle gif(DGifOpen(&source, ReadGif, &code));
  if (gif == nullptr) ThrowGif(request, source, code);
  if (source.cut_off) request.ThrowCutOff("GIF");
  request.CheckSize(gif->SWidth, gif->SHeight);
  const std::optional<std::uint8_t> clear = FindGifPicture(gif.get(), source, request);
  if (source.cut_off) request.ThrowCutOff("GIF");
  const GifImageDesc& frame = gif->Image;
  if (frame.Width < 1 || frame.Height < 1) request.CheckSize(frame.Width, frame.Height);
  // A picture that reaches over its canvas widens it.
  const Index width = std::max<Index>(gif->SWidth, Index{frame.Left} + frame.Width);
  const Index height = std::max<Index>(gif->SHeight, Index{frame.Top} + frame.Height);
  request.CheckSize(width, height);
  const Index claimed = Index{frame.Width} * frame.Height;
  if (claimed / kMaxGifRatio > static_cast<Index>(request.bytes().size())) {
    request.ThrowCannotHold("GIF", claimed);
  }
  const ColorMapObject* colors = frame.ColorMap != nullptr ? frame.ColorMap : gif->SColorMap;
  const bool indexed = colors != nullptr && !IsGrayRamp(*colors);
  request.TakeMemory(width * height);
  Image image = NewImage(indexed ? PixelMode::kPalette : PixelMode::kGray, width, height);
  if (clear) std::ranges::fill(image.pixels, *clear);
  if (indexed) {
    image.palette = internal::NewPalette();
    for (int i = 0; i < std::min(colors->ColorCount, 256); ++i) {
      std::uint8_t* entry = image.palette.data() + 4 * i;
      entry[0] = colors->Colors[i].Red;
      entry[1] = colors->Colors[i].Green;
      entry[2] = colors->Colors[i].Blue;
    }
    if (clear) image.palette[4 * std::size_t{*clear} + 3] = 0;
  } else if (clear) {
    image.clear_color = {*clear, *clear, *clear};
  }
  ReadGifRows(gif.get(), source, request, &image);
  return image;
}

}  // namespace cliplens
