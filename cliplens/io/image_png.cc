// PNG through libpng.
#include <algorithm>
#include <array>
#include <bit>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include <png.h>

#include "cliplens/base/error.h"
#include "cliplens/io/image_codecs.h"
#include "cliplens/io/inflate.h"

namespace cliplens {

namespace {

constexpr Index kMaxPngSide = 1'000'000;  // libpng's own bound for what it writes

// libpng reports an error by a call that must not return. It jumps back to the function that called
// the library; those functions hold no object that would need a destructor.
struct PngErrorState {
  std::jmp_buf jump;
  char message[128] = {};
  bool cut_off = false;
};

[[noreturn]] void OnError(png_structp png, png_const_charp message) {
  auto* state = static_cast<PngErrorState*>(png_get_error_ptr(png));
  std::snprintf(state->message, sizeof(state->message), "%s", message);
  std::longjmp(state->jump, 1);
}

void OnWarning(png_structp, png_const_charp) {}

// Owns libpng's reader.
class PngReader {
 public:
  explicit PngReader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  bool ReadHeader();
  // Asks for the samples of Pillow's mode; after ReadHeader.
  bool Start();
  // Fills rows of `stride` bytes each, `height` of them.
  bool ReadRows(std::uint8_t* pixels, std::size_t stride, Index height);

  PixelMode mode() const;
  png_structp png() const { return png_; }
  png_infop info() const { return info_; }
  const PngErrorState& error() const { return error_; }

 private:
  static void Read(png_structp png, png_bytep to, std::size_t count);

  std::span<const std::uint8_t> bytes_;
  std::size_t position_ = 0;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  int passes_ = 1;
  PngErrorState error_;
};

void PngReader::Read(png_structp png, png_bytep to, std::size_t count) {
  auto* reader = static_cast<PngReader*>(png_get_io_ptr(png));
  if (count > reader->bytes_.size() - reader->position_) {
    reader->error_.cut_off = true;
    png_error(png, "end of file");
  }
  std::memcpy(to, reader->bytes_.data() + reader->position_, count);
  reader->position_ += count;
}

bool PngReader::ReadHeader() {
  png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &error_, OnError, OnWarning);
  if (png_ == nullptr) return false;
  if (setjmp(error_.jump) != 0) return false;
  info_ = png_create_info_struct(png_);
  if (info_ == nullptr) return false;
  png_set_read_fn(png_, this, Read);
  // The number of pixels is checked against kMaxPixels; a long thin picture is no danger.
  png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  // Texts, profiles and the like are stepped over unread, so a compressed one cannot unfold.
  png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_set_chunk_cache_max(png_, 1);
  png_set_chunk_malloc_max(png_, std::max<png_alloc_size_t>(bytes_.size(), 1024));
  png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  png_read_info(png_, info_);
  // Pillow checks what comes before the pixels, and not the checksums of the pixels themselves.
  png_set_crc_action(png_, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
  return true;
}

PixelMode PngReader::mode() const {
  const int depth = png_get_bit_depth(png_, info_);
  switch (png_get_color_type(png_, info_)) {
    case PNG_COLOR_TYPE_GRAY:
      if (depth == 1) return PixelMode::kBilevel;
      return depth == 16 ? PixelMode::kGray16 : PixelMode::kGray;
    case PNG_COLOR_TYPE_PALETTE:
      return PixelMode::kPalette;
    case PNG_COLOR_TYPE_GRAY_ALPHA:
      // Pillow has no mode for 16-bit grey with alpha and opens it as RGBA.
      return depth == 16 ? PixelMode::kRgba : PixelMode::kGrayAlpha;
    case PNG_COLOR_TYPE_RGB_ALPHA:
      return PixelMode::kRgba;
    default:
      return PixelMode::kRgb;
  }
}

bool PngReader::Start() {
  const PixelMode target = mode();
  if (setjmp(error_.jump) != 0) return false;
  if (target == PixelMode::kGray16) {
    if constexpr (std::endian::native == std::endian::little) png_set_swap(png_);
  } else if (png_get_bit_depth(png_, info_) == 16) {
    png_set_strip_16(png_);  // the high byte, as Pillow takes it
  }
  if (target == PixelMode::kPalette) {
    png_set_packing(png_);
  } else if (png_get_bit_depth(png_, info_) < 8) {
    png_set_expand_gray_1_2_4_to_8(png_);
  }
  if (target == PixelMode::kRgba && png_get_color_type(png_, info_) == PNG_COLOR_TYPE_GRAY_ALPHA) {
    png_set_gray_to_rgb(png_);
  }
  passes_ = png_set_interlace_handling(png_);
  png_read_update_info(png_, info_);
  return true;
}

bool PngReader::ReadRows(std::uint8_t* pixels, std::size_t stride, Index height) {
  if (setjmp(error_.jump) != 0) return false;
  for (int pass = 0; pass < passes_; ++pass) {
    for (Index y = 0; y < height; ++y) {
      png_read_row(png_, pixels + ToSize(y) * stride, nullptr);
    }
  }
  return true;
}

void Check(bool done, const PngReader& reader, const internal::DecodeRequest& request) {
  if (done) return;
  if (reader.png() == nullptr || reader.info() == nullptr) {
    throw Error(ErrorCode::kExhausted, "{}: no memory is left for libpng; close other programs",
                request.name());
  }
  if (reader.error().cut_off) request.ThrowCutOff("PNG");
  request.ThrowBroken("PNG", reader.error().message);
}

std::vector<std::uint8_t> ReadPalette(const PngReader& reader) {
  std::vector<std::uint8_t> palette = internal::NewPalette();
  png_colorp colors = nullptr;
  int count = 0;
  png_get_PLTE(reader.png(), reader.info(), &colors, &count);
  for (int i = 0; i < std::min(count, 256); ++i) {
    std::uint8_t* entry = palette.data() + 4 * i;
    entry[0] = colors[i].red;
    entry[1] = colors[i].green;
    entry[2] = colors[i].blue;
  }
  png_bytep alphas = nullptr;
  int alpha_count = 0;
  if (png_get_tRNS(reader.png(), reader.info(), &alphas, &alpha_count, nullptr) != 0 &&
      alphas != nullptr) {
    for (int i = 0; i < std::min(alpha_count, 256); ++i) palette.data()[4 * i + 3] = alphas[i];
  }
  return palette;
}

// The transparent colour of a picture without a palette. Pillow takes the low bytes of the declared
// samples, whatever their depth; those of bilevel pictures are 0 and 255.
std::optional<std::array<std::uint8_t, 3>> ReadClearColor(const PngReader& reader, PixelMode mode) {
  png_color_16p color = nullptr;
  if (png_get_tRNS(reader.png(), reader.info(), nullptr, nullptr, &color) == 0 ||
      color == nullptr) {
    return std::nullopt;
  }
  const auto low = [](unsigned sample) { return static_cast<std::uint8_t>(sample & 0xFF); };
  switch (mode) {
    case PixelMode::kBilevel: {
      const std::uint8_t v = color->gray != 0 ? 255 : 0;
      return {{v, v, v}};
    }
    case PixelMode::kGray:
    case PixelMode::kGray16:
      return {{low(color->gray), low(color->gray), low(color->gray)}};
    case PixelMode::kRgb:
      return {{low(color->red), low(color->green), low(color->blue)}};
    default:
      return std::nullopt;
  }
}

// Owns libpng's writer.
class PngWriter {
 public:
  PngWriter() = default;
  ~PngWriter() { png_destroy_write_struct(&png_, &info_); }
  PngWriter(const PngWriter&) = delete;
  PngWriter& operator=(const PngWriter&) = delete;

  bool Write(const Image& image, int color_type);
  std::vector<std::uint8_t> TakeBytes() { return std::move(bytes_); }
  const char* message() const { return error_.message; }

 private:
  static void Append(png_structp png, png_bytep from, std::size_t count);
  static void Flush(png_structp) {}

  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  PngErrorState error_;
  std::vector<std::uint8_t> bytes_;
};

void PngWriter::Append(png_structp png, png_bytep from, std::size_t count) {
  auto* writer = static_cast<PngWriter*>(png_get_io_ptr(png));
  bool stored = false;
  try {
    writer->bytes_.insert(writer->bytes_.end(), from, from + count);
    stored = true;
  } catch (const std::bad_alloc&) {
    // An exception must not pass through libpng's frames.
    stored = false;
  }
  if (!stored) png_error(png, "out of memory");
}

bool PngWriter::Write(const Image& image, int color_type) {
  png_ = png_create_write_struct(PNG_LIBPNG_VER_STRING, &error_, OnError, OnWarning);
  if (png_ == nullptr) return false;
  if (setjmp(error_.jump) != 0) return false;
  info_ = png_create_info_struct(png_);
  if (info_ == nullptr) return false;
  png_set_write_fn(png_, this, Append, Flush);
  png_set_IHDR(png_, info_, static_cast<png_uint_32>(image.width),
               static_cast<png_uint_32>(image.height), 8, color_type, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png_, info_);
  const std::size_t stride = ToSize(image.width * BytesPerPixel(image.mode));
  for (Index y = 0; y < image.height; ++y) {
    png_write_row(png_, image.pixels.data() + ToSize(y) * stride);
  }
  png_write_end(png_, info_);
  return true;
}

}  // namespace

namespace internal {

// The orientation of an eXIf chunk before the pixels or behind them.
int OrientationOfPng(std::span<const std::uint8_t> bytes) {
  for (std::size_t at = 8; at + 12 <= bytes.size();) {
    const std::size_t size = std::size_t{bytes[at]} << 24 | std::size_t{bytes[at + 1]} << 16 |
                             std::size_t{bytes[at + 2]} << 8 | bytes[at + 3];
    if (size > bytes.size() - at - 12) return 1;
    if (std::memcmp(bytes.data() + at + 4, "eXIf", 4) == 0) {
      return OrientationOfExif(bytes.subspan(at + 8, size));
    }
    at += 12 + size;
  }
  return 1;
}

Image DecodePng(DecodeRequest& request) {
  const std::span<const std::uint8_t> bytes = request.bytes();
  const auto reader = std::make_unique<PngReader>(bytes);
  Check(reader->ReadHeader(), *reader, request);
  const auto width = static_cast<Index>(png_get_image_width(reader->png(), reader->info()));
  const auto height = static_cast<Index>(png_get_image_height(reader->png(), reader->info()));
  const int orientation = OrientationOfPng(bytes);
  request.CheckSize(width, height, orientation);
  const Index bits = Index{png_get_bit_depth(reader->png(), reader->info())} *
                     png_get_channels(reader->png(), reader->info());
  const Index claimed = width * height * bits / 8;
  // Before memory is taken.
  if (claimed / kMaxDeflateRatio > static_cast<Index>(bytes.size())) {
    request.ThrowCannotHold("PNG", claimed);
  }
  const PixelMode mode = reader->mode();
  // The reader's transformations would change it.
  const std::optional<std::array<std::uint8_t, 3>> clear_color = ReadClearColor(*reader, mode);
  Check(reader->Start(), *reader, request);
  const auto stride = ToSize(width * BytesPerPixel(mode));
  if (png_get_rowbytes(reader->png(), reader->info()) != stride) {
    throw Error(ErrorCode::kInternal, "{}: libpng gives rows of {} bytes, {} were asked for",
                request.name(), png_get_rowbytes(reader->png(), reader->info()), stride);
  }
  request.TakeMemory(height * static_cast<Index>(stride));
  Image image = NewImage(mode, width, height);
  image.orientation = orientation;
  if (mode == PixelMode::kPalette) image.palette = ReadPalette(*reader);
  image.clear_color = clear_color;
  Check(reader->ReadRows(image.pixels.data(), stride, height), *reader, request);
  return image;
}

}  // namespace internal

std::vector<std::uint8_t> EncodePng(const Image& image) {
  CheckImage(image);
  if (image.width > kMaxPngSide || image.height > kMaxPngSide) {
    throw Error(ErrorCode::kUnsupported,
                "picture of {} x {} pixels: at most {} a side are written to PNG; resize it",
                image.width, image.height, kMaxPngSide);
  }
  int color_type = PNG_COLOR_TYPE_RGB;
  switch (image.mode) {
    case PixelMode::kGray:
      color_type = PNG_COLOR_TYPE_GRAY;
      break;
    case PixelMode::kGrayAlpha:
      color_type = PNG_COLOR_TYPE_GRAY_ALPHA;
      break;
    case PixelMode::kRgb:
      break;
    case PixelMode::kRgba:
      color_type = PNG_COLOR_TYPE_RGB_ALPHA;
      break;
    default:
      return EncodePng(ConvertToRgb(image));
  }
  const auto writer = std::make_unique<PngWriter>();
  if (!writer->Write(image, color_type)) {
    throw Error(ErrorCode::kExhausted, "picture of {} x {} pixels: libpng could not write it ({})",
                image.width, image.height, writer->message());
  }
  return writer->TakeBytes();
}

}  // namespace cliplens
