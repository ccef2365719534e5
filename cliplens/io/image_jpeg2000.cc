// JPEG 2000 through OpenJPEG: a JP2 file or a bare codestream, in Pillow's modes.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include <openjpeg.h>

#include "cliplens/base/error.h"
#include "cliplens/io/image_codecs.h"

namespace cliplens {

namespace {

constexpr std::uint32_t kEnumeratedCmyk = 12;
constexpr std::uint32_t kEnumeratedRgb = 16;
constexpr std::uint32_t kEnumeratedGray = 17;
constexpr std::uint32_t kEnumeratedYcc = 18;

struct Jpeg2000Source {
  std::span<const std::uint8_t> bytes;
  std::size_t position = 0;
  char message[200] = {};
};

OPJ_SIZE_T ReadJpeg2000(void* to, OPJ_SIZE_T count, void* data) {
  auto* source = static_cast<Jpeg2000Source*>(data);
  const std::size_t taken = std::min(count, source->bytes.size() - source->position);
  if (taken == 0) return static_cast<OPJ_SIZE_T>(-1);
  std::memcpy(to, source->bytes.data() + source->position, taken);
  source->position += taken;
  return taken;
}
OPJ_OFF_T SkipJpeg2000(OPJ_OFF_T count, void* data) {
  auto* source = static_cast<Jpeg2000Source*>(data);
  const std::size_t left = source->bytes.size() - source->position;
  if (count < 0 || static_cast<std::size_t>(count) > left) return -1;
  source->position += static_cast<std::size_t>(count);
  return count;
}
OPJ_BOOL SeekJpeg2000(OPJ_OFF_T offset, void* data) {
  auto* source = static_cast<Jpeg2000Source*>(data);
  if (offset < 0 || static_cast<std::size_t>(offset) > source->bytes.size()) return OPJ_FALSE;
  source->position = static_cast<std::size_t>(offset);
  return OPJ_TRUE;
}
void KeepJpeg2000Error(const char* message, void* data) {
  auto* source = static_cast<Jpeg2000Source*>(data);
  std::snprintf(source->message, sizeof(source->message), "%s", message);
}
void DropJpeg2000Message(const char*, void*) {}

// opj_stream_t and opj_codec_t are one type, so each has its own.
struct StreamDestroy {
  void operator()(opj_stream_t* stream) const { opj_stream_destroy(stream); }
};
struct CodecDestroy {
  void operator()(opj_codec_t* codec) const { opj_destroy_codec(codec); }
};
struct PictureDestroy {
  void operator()(opj_image_t* image) const { opj_image_destroy(image); }
};

// What the boxes of a JP2 file say of colours.
struct Jp2Colors {
  std::optional<std::uint32_t> enumerated;
  std::vector<std::uint8_t> palette;  // 256 x RGBA, empty without one
};

// Walks the boxes in `bytes` and calls `use` with the type and content of each, until it returns
// true.
template <typename Use>
void ForBoxes(std::span<const std::uint8_t> bytes, const Use& use) {
  const auto number = [&](std::size_t at, std::size_t count) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count; ++i) value = value << 8 | bytes[at + i];
    return value;
  };
  for (std::size_t at = 0; at + 8 <= bytes.size();) {
    std::uint64_t size = number(at, 4);
    std::size_t header = 8;
    if (size == 1 && at + 16 <= bytes.size()) {
      size = number(at + 8, 8);
      header = 16;
    }
    if (size == 0) size = bytes.size() - at;
    if (size < header || size > bytes.size() - at) return;
    const std::string_view type(reinterpret_cast<const char*>(bytes.data()) + at + 4, 4);
    if (use(type, bytes.subspan(at + header, static_cast<std::size_t>(size) - header))) return;
    at += static_cast<std::size_t>(size);
  }
}

// Pillow takes a palette of at most 8 bits, unless the colour space is grey or bilevel.
std::vector<std::uint8_t> ReadJp2Palette(std::span<const std::uint8_t> box) {
  if (box.size() < 3) return {};
  const std::size_t entries = std::size_t{box[0]} << 8 | box[1];
  const std::size_t columns = box[2];
  if (entries > 256 || columns < 3 || columns > 4 || box.size() < 3 + columns) return {};
  for (std::size_t c = 0; c < columns; ++c) {
    if (box[3 + c] > 8) return {};
  }
  const std::span<const std::uint8_t> colors = box.subspan(3 + columns);
  if (colors.size() < entries * columns) return {};
  std::vector<std::uint8_t> palette = internal::NewPalette();
  for (std::size_t i = 0; i < entries; ++i) {
    std::copy_n(colors.data() + i * columns, columns, palette.data() + 4 * i);
  }
  return palette;
}

Jp2Colors ReadJp2Colors(std::span<const std::uint8_t> bytes) {
  Jp2Colors colors;
  ForBoxes(bytes, [&](std::string_view type, std::span<const std::uint8_t> header) {
    if (type != "jp2h") return false;
    ForBoxes(header, [&](std::string_view part, std::span<const std::uint8_t> box) {
      if (part == "colr" && box.size() >= 7 && box[0] == 1 && !colors.enumerated) {
        colors.enumerated = std::uint32_t{box[3]} << 24 | std::uint32_t{box[4]} << 16 |
                            std::uint32_t{box[5]} << 8 | box[6];
      }
      constexpr std::array<std::uint32_t, 3> kPlain = {0, 15, kEnumeratedGray};
      const bool plain =
          colors.enumerated && std::ranges::find(kPlain, *colors.enumerated) != kPlain.end();
      if (part == "pclr" && !plain && colors.enumerated != kEnumeratedCmyk) {
        colors.palette = ReadJp2Palette(box);
      }
      return false;
    });
    return true;
  });
  return colors;
}

class Jpeg2000Reader {
 public:
  explicit Jpeg2000Reader(internal::DecodeRequest& request)
      : request_(request), source_{request.bytes()} {}

  Image Read() {
    ReadHeader();
    Decode();
    return Convert();
  }

 private:
  [[noreturn]] void Fail() const {
    std::string_view why = source_.message;
    while (why.ends_with('\n')) why.remove_suffix(1);
    request_.ThrowBroken("JPEG 2000", why.empty() ? "OpenJPEG does not say why" : why);
  }

  void ReadHeader() {
    const bool bare = request_.bytes()[0] == 0xFF;
    if (!bare) colors_ = ReadJp2Colors(request_.bytes());
    stream_.reset(opj_stream_default_create(OPJ_TRUE));
    codec_.reset(opj_create_decompress(bare ? OPJ_CODEC_J2K : OPJ_CODEC_JP2));
    if (stream_ == nullptr || codec_ == nullptr) Fail();
    opj_stream_set_user_data(stream_.get(), &source_, nullptr);
    opj_stream_set_user_data_length(stream_.get(), request_.bytes().size());
    opj_stream_set_read_function(stream_.get(), ReadJpeg2000);
    opj_stream_set_skip_function(stream_.get(), SkipJpeg2000);
    opj_stream_set_seek_function(stream_.get(), SeekJpeg2000);
    opj_set_error_handler(codec_.get(), KeepJpeg2000Error, &source_);
    opj_set_warning_handler(codec_.get(), DropJpeg2000Message, nullptr);
    opj_set_info_handler(codec_.get(), DropJpeg2000Message, nullptr);
    opj_dparameters_t parameters;
    opj_set_default_decoder_parameters(&parameters);
    // Palettes and the order of channels are left to us, as to Pillow.
    parameters.flags |= OPJ_DPARAMETERS_IGNORE_PCLR_CMAP_CDEF_FLAG;
    if (opj_setup_decoder(codec_.get(), &parameters) == OPJ_FALSE) Fail();
    opj_image_t* image = nullptr;
    if (opj_read_header(stream_.get(), codec_.get(), &image) == OPJ_FALSE) Fail();
    picture_.reset(image);
  }

  void Decode() {
    const Index width = Index{picture_->x1} - picture_->x0;
    const Index height = Index{picture_->y1} - picture_->y0;
    request_.CheckSize(width, height);
    const Index components = picture_->numcomps;
    if (components < 1 || components > 4) {
      request_.ThrowNotRead("JPEG 2000", fmt::format("{} components", components));
    }
    for (Index c = 0; c < components; ++c) {
      const opj_image_comp_t& component = picture_->comps[c];
      if (component.prec > 16) {
        request_.ThrowNotRead("JPEG 2000", fmt::format("{} bits a sample", component.prec));
      }
      if (component.dx < 1 || component.dy < 1) Fail();
    }
    // Samples of 32 bits, in a tile and in the picture, and the pixels.
    request_.TakeMemory(width * height * (8 * components + 4));
    if (opj_decode(codec_.get(), stream_.get(), picture_.get()) == OPJ_FALSE ||
        opj_end_decompress(codec_.get(), stream_.get()) == OPJ_FALSE) {
      Fail();
    }
    for (Index c = 0; c < components; ++c) {
      const opj_image_comp_t& component = picture_->comps[c];
      if (component.data == nullptr || component.w == 0 || component.h == 0) Fail();
    }
  }

  // Whether three or four components are Y, Cb, Cr: said, or meant by colours at fewer places.
  bool IsYcc() const {
    if (picture_->numcomps < 3) return false;
    switch (colors_.enumerated.value_or(0)) {
      case kEnumeratedYcc:
        return true;
      case kEnumeratedCmyk:
      case kEnumeratedRgb:
      case kEnumeratedGray:
        return false;
      default:
        return HasAll(0) && !(HasAll(1) && HasAll(2));
    }
  }

  // Whether a component has a sample for every pixel.
  bool HasAll(std::size_t component) const {
    return picture_->comps[component].dx == 1 && picture_->comps[component].dy == 1;
  }

  PixelMode Mode() const {
    switch (picture_->numcomps) {
      case 1:
        if (!colors_.palette.empty()) return PixelMode::kPalette;
        return picture_->comps[0].prec > 8 ? PixelMode::kGray16 : PixelMode::kGray;
      case 2:
        return PixelMode::kGrayAlpha;
      case 3:
        return PixelMode::kRgb;
      default:
        return colors_.enumerated == kEnumeratedCmyk ? PixelMode::kCmyk : PixelMode::kRgba;
    }
  }

  Image Convert() const {
    const Index width = Index{picture_->x1} - picture_->x0;
    const Index height = Index{picture_->y1} - picture_->y0;
    Image image = NewImage(Mode(), width, height);
    const bool wide = image.mode == PixelMode::kGray16;
    const Index channels = wide ? 1 : BytesPerPixel(image.mode);
    for (Index c = 0; c < channels; ++c) {
      const opj_image_comp_t& component = picture_->comps[c];
      const int shift = (wide ? 16 : 8) - static_cast<int>(component.prec);
      unsigned offset = component.sgnd != 0 ? 1u << (component.prec - 1) : 0u;
      if (shift < 0) offset += 1u << (-shift - 1);
      for (Index y = 0; y < height; ++y) {
        const Index row = std::min<Index>(y / component.dy, Index{component.h} - 1);
        const OPJ_INT32* in = component.data + row * component.w;
        for (Index x = 0; x < width; ++x) {
          const Index column = std::min<Index>(x / component.dx, Index{component.w} - 1);
          const unsigned sample = offset + static_cast<unsigned>(in[column]);
          // A sum above the range wraps, as Pillow's does.
          const unsigned v = shift < 0 ? sample >> -shift : sample << shift;
          if (wide) {
            const auto word = static_cast<std::uint16_t>(v);
            std::memcpy(image.pixels.data() + 2 * (y * width + x), &word, sizeof(word));
          } else {
            image.pixels[ToSize((y * width + x) * channels + c)] = static_cast<std::uint8_t>(v);
          }
        }
      }
    }
    if (IsYcc()) {
      for (std::size_t i = 0; i < image.pixels.size(); i += ToSize(channels)) {
        internal::YcbcrToRgb(image.pixels.data() + i);
      }
    }
    if (image.mode == PixelMode::kPalette) image.palette = colors_.palette;
    return image;
  }

  internal::DecodeRequest& request_;
  Jpeg2000Source source_;
  Jp2Colors colors_;
  std::unique_ptr<opj_stream_t, StreamDestroy> stream_;
  std::unique_ptr<opj_codec_t, CodecDestroy> codec_;
  std::unique_ptr<opj_image_t, PictureDestroy> picture_;
};

}  // namespace

Image internal::DecodeJpeg2000(DecodeRequest& request) { return Jpeg2000Reader(request).Read(); }

}  // namespace cliplens
