// BMP: the headers of Windows and OS/2, plain, run-length coded, or with bit fields. Modes are
// Pillow's: a palette of the grey levels is no palette, and of 32 bits without fields the fourth
// byte is not alpha.
#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "cliplens/base/error.h"
#include "cliplens/io/image_codecs.h"

namespace cliplens {

namespace {

constexpr std::size_t kFileHeaderBytes = 14;
constexpr std::size_t kCoreHeaderBytes = 12;
constexpr std::size_t kInfoHeaderBytes = 40;

enum BmpCompression : std::uint32_t { kBmpRaw = 0, kBmpRle8 = 1, kBmpRle4 = 2, kBmpFields = 3 };

// Where the samples of a pixel lie: a byte each, or bits of 16.
struct BmpPixel {
  std::array<std::uint32_t, 4> masks;  // red, green, blue, alpha
  // Bytes of red, green, blue, alpha in a pixel of 24 or 32 bits.
  std::array<int, 4> at;
  bool alpha;
};
constexpr BmpPixel kBmp32Fields[] = {
    {{0xFF0000, 0xFF00, 0xFF, 0x0}, {2, 1, 0, 3}, false},
    {{0xFF000000, 0xFF0000, 0xFF00, 0x0}, {3, 2, 1, 0}, false},
    {{0xFF000000, 0xFF00, 0xFF, 0x0}, {3, 1, 0, 2}, false},
    {{0xFF000000, 0xFF0000, 0xFF00, 0xFF}, {3, 2, 1, 0}, true},
    {{0xFF, 0xFF00, 0xFF0000, 0xFF000000}, {0, 1, 2, 3}, true},
    {{0xFF0000, 0xFF00, 0xFF, 0xFF000000}, {2, 1, 0, 3}, true},
    {{0xFF000000, 0xFF00, 0xFF, 0xFF0000}, {3, 1, 0, 2}, true},
    {{0x0, 0x0, 0x0, 0x0}, {2, 1, 0, 3}, true},
};
constexpr BmpPixel kBmpBgr = {{0xFF0000, 0xFF00, 0xFF, 0x0}, {2, 1, 0, 3}, false};

struct BmpHeader {
  std::uint32_t size = 0;
  Index width = 0;
  Index height = 0;
  bool top_down = false;
  unsigned bits = 0;
  std::uint32_t compression = kBmpRaw;
  Index colors = 0;
  Index color_bytes = 4;  // of an entry of the palette
  std::array<std::uint32_t, 4> masks = {};
  std::size_t after = 0;  // where the palette begins
  std::size_t pixels = 0;
};

class BmpReader {
 public:
  explicit BmpReader(internal::DecodeRequest& request) : request_(request) {}

  Image Read() {
    ReadHeader();
    CheckKind();
    return header_.bits <= 8 ? ReadIndexed() : ReadColors();
  }

 private:
  std::uint32_t Number(std::size_t at, std::size_t count) const {
    const std::span<const std::uint8_t> bytes = request_.bytes();
    if (at > bytes.size() || count > bytes.size() - at) request_.ThrowCutOff("BMP");
    std::uint32_t value = 0;
    for (std::size_t i = count; i > 0; --i) value = value << 8 | bytes[at + i - 1];
    return value;
  }

  void ReadHeader() {
    header_.size = Number(kFileHeaderBytes, 4);
    constexpr std::size_t kAt = kFileHeaderBytes;
    header_.after = kAt + header_.size;
    if (header_.size == kCoreHeaderBytes) {
      header_.width = Number(kAt + 4, 2);
      header_.height = Number(kAt + 6, 2);
      header_.bits = Number(kAt + 10, 2);
      header_.color_bytes = 3;
    } else {
      header_.width = Number(kAt + 4, 4);
      header_.height = Number(kAt + 8, 4);
      header_.top_down = Number(kAt + 11, 1) == 0xFF;
      if (header_.top_down) header_.height = (Index{1} << 32) - header_.height;
      header_.bits = Number(kAt + 14, 2);
      header_.compression = Number(kAt + 16, 4);
      header_.colors = Number(kAt + 32, 4);
    }
    if (header_.compression == kBmpFields) {
      // Behind a header of 40 bytes, else its last members; alpha from 56 bytes on.
      const std::size_t at = kAt + kInfoHeaderBytes;
      for (std::size_t i = 0; i < 3; ++i) header_.masks[i] = Number(at + 4 * i, 4);
      if (header_.size >= kInfoHeaderBytes + 16) header_.masks[3] = Number(at + 12, 4);
      if (header_.size == kInfoHeaderBytes) header_.after += 12;
    }
    request_.CheckSize(header_.width, header_.height);
    if (header_.colors == 0 && header_.bits <= 8) header_.colors = Index{1} << header_.bits;
    header_.pixels = Number(10, 4);
    if (header_.pixels == kFileHeaderBytes + header_.size && header_.bits <= 8) {
      // Some writers count the header only.
      header_.pixels += ToSize(header_.colors * header_.color_bytes);
    }
    if (header_.pixels == 0) header_.pixels = header_.after;
  }

  void CheckKind() const {
    constexpr unsigned kDepths[] = {1, 4, 8, 16, 24, 32};
    if (std::ranges::find(kDepths, header_.bits) == std::end(kDepths)) {
      request_.ThrowNotRead("BMP", fmt::format("{} bits a pixel", header_.bits));
    }
    const bool rle = header_.compression == kBmpRle8 || header_.compression == kBmpRle4;
    if (header_.compression > kBmpFields || (rle && header_.bits > 8) ||
        (header_.compression == kBmpFields && header_.bits <= 8)) {
      request_.ThrowNotRead("BMP", fmt::format("compression {} of {} bits a pixel",
                                               header_.compression, header_.bits));
    }
    if (header_.bits <= 8 && header_.colors > 65536) {
      request_.ThrowBroken("BMP", fmt::format("a palette of {} colours", header_.colors));
    }
  }

  // Bytes of a row in the file; rows end at a multiple of four.
  Index Stride() const { return (header_.width * Index{header_.bits} + 31) / 32 * 4; }

  Index RowOf(Index y) const { return header_.top_down ? y : header_.height - 1 - y; }

  // Row y of the file, uncompressed; the last may lack its padding.
  const std::uint8_t* FileRow(Index y) const {
    return request_.bytes().data() + header_.pixels + ToSize(y * Stride());
  }

  void CheckHolds() const {
    const Index used = (header_.width * Index{header_.bits} + 7) / 8;
    const Index needed = Stride() * (header_.height - 1) + used;
    const auto size = static_cast<Index>(request_.bytes().size());
    if (static_cast<Index>(header_.pixels) > size) request_.ThrowCutOff("BMP");
    if (needed > size - static_cast<Index>(header_.pixels)) {
      request_.ThrowCannotHold("BMP", needed);
    }
  }

  Image ReadIndexed() {
    const Index entries = std::min<Index>(header_.colors, 256);
    std::vector<std::uint8_t> palette = internal::NewPalette();
    bool gray = true;
    for (Index i = 0; i < entries; ++i) {
      const std::size_t at = header_.after + ToSize(i * header_.color_bytes);
      const Index level = header_.colors == 2 ? i * 255 : i;
      for (std::size_t c = 0; c < 3; ++c) {
        const auto value = static_cast<std::uint8_t>(Number(at + 2 - c, 1));
        palette[4 * ToSize(i) + c] = value;
        gray = gray && value == level;
      }
    }
    const bool rle = header_.compression != kBmpRaw;
    if (!rle) CheckHolds();
    request_.TakeMemory(header_.width * header_.height * (rle ? 2 : 1));
    Image image = NewImage(!gray                 ? PixelMode::kPalette
                           : header_.colors <= 2 ? PixelMode::kBilevel
                                                 : PixelMode::kGray,
                           header_.width, header_.height);
    if (rle) {
      ReadRuns(&image);
    } else {
      const unsigned per_byte = 8 / header_.bits;
      const unsigned mask = (1u << header_.bits) - 1;
      for (Index y = 0; y < image.height; ++y) {
        const std::uint8_t* in = FileRow(y);
        std::uint8_t* out = image.pixels.data() + RowOf(y) * image.width;
        for (Index x = 0; x < image.width; ++x) {
          const auto part = static_cast<unsigned>(x % per_byte);
          const unsigned shift = 8 - header_.bits * (part + 1);
          out[x] = static_cast<std::uint8_t>(in[x / per_byte] >> shift & mask);
        }
      }
    }
    if (image.mode == PixelMode::kBilevel) {
      for (std::uint8_t& v : image.pixels) v = v != 0 ? 255 : 0;
    }
    if (image.mode == PixelMode::kPalette) image.palette = std::move(palette);
    return image;
  }

  // Runs fill the rows one after another, as Pillow reads them; what is left out is 0.
  void ReadRuns(Image* image) {
    const std::span<const std::uint8_t> bytes = request_.bytes();
    const bool nibbles = header_.compression == kBmpRle4;
    const auto width = ToSize(std::max<Index>(header_.width, 1));
    const std::size_t wanted = image->pixels.size();
    std::vector<std::uint8_t> data;
    data.reserve(wanted + 256);
    std::size_t at = header_.pixels;
    std::size_t x = 0;
    const auto left = [&] { return at < bytes.size() ? bytes.size() - at : 0; };
    while (data.size() < wanted && left() >= 2) {
      const std::size_t count = bytes[at];
      const std::uint8_t value = bytes[at + 1];
      at += 2;
      if (count > 0) {
        const std::size_t run = x + count > width ? (width > x ? width - x : 0) : count;
        for (std::size_t i = 0; i < run; ++i) {
          data.push_back(
              !nibbles ? value : static_cast<std::uint8_t>(i % 2 == 0 ? value >> 4 : value & 15));
        }
        x += run;
      } else if (value == 0) {  // end of the row
        data.resize((data.size() + width - 1) / width * width);
        x = 0;
      } else if (value == 1) {  // end of the picture
        break;
      } else if (value == 2) {  // a step to the right and up
        if (left() < 2) break;
        data.resize(std::min(wanted, data.size() + bytes[at] + bytes[at + 1] * width));
        at += 2;
        x = data.size() % width;
      } else {
        const std::size_t plain = std::min<std::size_t>(wanted - data.size(), value);
        const std::size_t size = nibbles ? (plain + 1) / 2 : plain;
        const std::size_t held = std::min(size, left());
        for (std::size_t i = 0; i < held; ++i) {
          if (!nibbles) {
            data.push_back(bytes[at + i]);
            continue;
          }
          data.push_back(bytes[at + i] >> 4);
          if (2 * i + 1 < plain) data.push_back(bytes[at + i] & 15);
        }
        at += held;
        if (held < size || data.size() == wanted) break;
        x += value;
        at += at % 2;  // such a run ends at an even byte
      }
    }
    if (data.size() < wanted) request_.ThrowCutOff("BMP");
    for (Index y = 0; y < image->height; ++y) {
      std::copy_n(data.data() + ToSize(y) * width, width,
                  image->pixels.data() + RowOf(y) * header_.width);
    }
  }

  Image ReadColors() {
    CheckHolds();
    const bool fields = header_.compression == kBmpFields;
    const bool six_bits_green = fields && ThreeMasks(0xF800, 0x7E0, 0x1F);
    BmpPixel pixel = kBmpBgr;
    if (fields && header_.bits == 32) {
      const auto* known = std::ranges::find(kBmp32Fields, header_.masks, &BmpPixel::masks);
      if (known == std::end(kBmp32Fields)) ThrowFields();
      pixel = *known;
    } else if (fields && !(header_.bits == 16 && six_bits_green) &&
               !(header_.bits == 16 && ThreeMasks(0x7C00, 0x3E0, 0x1F)) &&
               !(header_.bits == 24 && ThreeMasks(0xFF0000, 0xFF00, 0xFF))) {
      ThrowFields();
    }
    const Index channels = pixel.alpha ? 4 : 3;
    request_.TakeMemory(header_.width * header_.height * channels);
    Image image =
        NewImage(pixel.alpha ? PixelMode::kRgba : PixelMode::kRgb, header_.width, header_.height);
    const Index step = header_.bits / 8;
    for (Index y = 0; y < image.height; ++y) {
      const std::uint8_t* in = FileRow(y);
      std::uint8_t* out = image.pixels.data() + RowOf(y) * image.width * channels;
      for (Index x = 0; x < image.width; ++x, in += step, out += channels) {
        if (header_.bits == 16) {
          Spread(in[0] | static_cast<unsigned>(in[1]) << 8, six_bits_green, out);
        } else {
          for (Index c = 0; c < channels; ++c) out[c] = in[pixel.at[ToSize(c)]];
        }
      }
    }
    return image;
  }

  // 5, 5 and 5 or 5, 6 and 5 bits to bytes.
  static void Spread(unsigned value, bool six_bits_green, std::uint8_t* out) {
    const unsigned green = six_bits_green ? 63 : 31;
    out[0] = static_cast<std::uint8_t>((value >> (six_bits_green ? 11 : 10) & 31) * 255 / 31);
    out[1] = static_cast<std::uint8_t>((value >> 5 & green) * 255 / green);
    out[2] = static_cast<std::uint8_t>((value & 31) * 255 / 31);
  }

  bool ThreeMasks(std::uint32_t red, std::uint32_t green, std::uint32_t blue) const {
    return header_.masks[0] == red && header_.masks[1] == green && header_.masks[2] == blue;
  }

  [[noreturn]] void ThrowFields() const {
    request_.ThrowNotRead(
        "BMP", fmt::format("bit fields {:x}, {:x}, {:x}, {:x} of {} bits", header_.masks[0],
                           header_.masks[1], header_.masks[2], header_.masks[3], header_.bits));
  }

  internal::DecodeRequest& request_;
  BmpHeader header_;
};

}  // namespace

Image internal::DecodeBmp(DecodeRequest& request) { return BmpReader(request).Read(); }

}  // namespace cliplens
