// TIFF through libtiff: the first directory, in Pillow's modes, turned by its own orientation as
// Pillow turns it.
#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include <tiffio.h>

#include "cliplens/base/error.h"
#include "cliplens/io/data_type.h"
#include "cliplens/io/image_codecs.h"

namespace cliplens {

namespace {

// A picture's strips and tiles are not larger than the picture, up to this.
constexpr tmsize_t kTiffSlack = tmsize_t{1} << 26;
constexpr int kMostTiffSamples = 6;

// The file, and the last error that libtiff told.
struct TiffSource {
  std::span<const std::uint8_t> bytes;
  std::size_t position = 0;
  char message[200] = {};
};

tmsize_t ReadTiff(thandle_t handle, void* to, tmsize_t count) {
  auto* source = static_cast<TiffSource*>(handle);
  const std::size_t size = source->bytes.size();
  const std::size_t left = source->position < size ? size - source->position : 0;
  const std::size_t taken = count < 0 ? 0 : std::min(static_cast<std::size_t>(count), left);
  if (taken > 0) std::memcpy(to, source->bytes.data() + source->position, taken);
  source->position += taken;
  return static_cast<tmsize_t>(taken);
}
tmsize_t WriteTiff(thandle_t, void*, tmsize_t) { return 0; }
toff_t SeekTiff(thandle_t handle, toff_t offset, int whence) {
  auto* source = static_cast<TiffSource*>(handle);
  if (whence == SEEK_CUR) offset += source->position;
  if (whence == SEEK_END) offset += source->bytes.size();
  source->position = offset;
  return offset;
}
int CloseTiff(thandle_t) { return 0; }
toff_t SizeOfTiff(thandle_t handle) { return static_cast<TiffSource*>(handle)->bytes.size(); }
int MapTiff(thandle_t, void**, toff_t*) { return 0; }
void UnmapTiff(thandle_t, void*, toff_t) {}

int KeepTiffError(TIFF*, void* data, const char*, const char* format, va_list values) {
  auto* source = static_cast<TiffSource*>(data);
  std::vsnprintf(source->message, sizeof(source->message), format, values);
  return 1;
}
int DropTiffWarning(TIFF*, void*, const char*, const char*, va_list) { return 1; }

struct TiffClose {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
  void operator()(TIFFOpenOptions* options) const { TIFFOpenOptionsFree(options); }
};

// What the directory says of the samples.
struct TiffKind {
  std::uint16_t photometric = PHOTOMETRIC_MINISWHITE;
  std::uint16_t bits = 1;
  std::uint16_t samples = 1;
  std::uint16_t format = SAMPLEFORMAT_UINT;
  std::uint16_t planar = PLANARCONFIG_CONTIG;
  std::uint16_t compression = COMPRESSION_NONE;
  int extra = -1;  // the first extra sample's meaning, -1 without one
};

// How samples become pixels.
struct TiffPlan {
  PixelMode mode = PixelMode::kRgb;
  int channels = 3;            // that are taken, from the first
  bool inverted = false;       // 0 is white
  bool multiplied = false;     // by alpha, which is divided out
  bool palette_alpha = false;  // an index and alpha become RGBA
  bool by_library = false;     // libtiff converts to RGBA
};

class TiffReader {
 public:
  explicit TiffReader(internal::DecodeRequest& request)
      : request_(request), source_{request.bytes()} {
    const std::unique_ptr<TIFFOpenOptions, TiffClose> options(TIFFOpenOptionsAlloc());
    if (options == nullptr) request_.ThrowBroken("TIFF", "libtiff does not start");
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), KeepTiffError, &source_);
    TIFFOpenOptionsSetWarningHandlerExtR(options.get(), DropTiffWarning, &source_);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), tmsize_t{kMaxDecodeMemory});
    // Strips as they are ("C"), and the file not mapped ("m").
    tiff_.reset(TIFFClientOpenExt("picture", "rCm", &source_, ReadTiff, WriteTiff, SeekTiff,
                                  CloseTiff, SizeOfTiff, MapTiff, UnmapTiff, options.get()));
    if (tiff_ == nullptr) Fail();
  }

  Image Read() {
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    TIFFGetField(tiff_.get(), TIFFTAG_IMAGEWIDTH, &width);
    TIFFGetField(tiff_.get(), TIFFTAG_IMAGELENGTH, &height);
    std::uint16_t orientation = 1;
    TIFFGetField(tiff_.get(), TIFFTAG_ORIENTATION, &orientation);
    if (orientation >= 5 && orientation <= 8) {
      request_.CheckSize(height, width);
    } else {
      request_.CheckSize(width, height);
    }
    ReadKind();
    plan_ = MakePlan();
    TakeMemory(width, height);
    image_ = NewImage(plan_.palette_alpha ? PixelMode::kRgba : plan_.mode, width, height);
    ReadPalette();
    if (plan_.by_library) {
      ReadByLibrary();
    } else if (TIFFIsTiled(tiff_.get()) != 0) {
      ReadTiles();
    } else {
      ReadStrips();
    }
    if (plan_.multiplied) DivideByAlpha();
    if (plan_.mode == PixelMode::kLab) AddToSigned();
    if (!plan_.palette_alpha && plan_.mode == PixelMode::kPalette) image_.palette = palette_;
    image_.orientation = orientation;
    return Upright(std::move(image_));
  }

 private:
  [[noreturn]] void Fail() const {
    const std::string_view why = source_.message;
    if (why.find("is not configured") != std::string_view::npos ||
        why.find("not implemented") != std::string_view::npos) {
      request_.ThrowNotRead("TIFF", why);
    }
    request_.ThrowBroken("TIFF", why.empty() ? "libtiff does not say why" : why);
  }

  [[noreturn]] void NotRead() const {
    request_.ThrowNotRead(
        "TIFF", fmt::format("photometric interpretation {}, {} samples of {} bits in format {}{}",
                            kind_.photometric, kind_.samples, kind_.bits, kind_.format,
                            kind_.extra < 0 ? "" : fmt::format(", extra {}", kind_.extra)));
  }

  void ReadKind() {
    TIFF* tiff = tiff_.get();
    TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &kind_.compression);
    TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &kind_.photometric);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &kind_.bits);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &kind_.samples);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &kind_.format);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &kind_.planar);
    std::uint16_t extra_count = 0;
    const std::uint16_t* extras = nullptr;
    if (TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &extra_count, &extras) != 0 &&
        extra_count > 0 && extras != nullptr) {
      kind_.extra = extras[0];
    }
    // libtiff makes up what extra samples mean if the file does not say it; to Pillow the fourth of
    // RGB is alpha then.
    const bool big_tiff = request_.bytes()[2] == 43 || request_.bytes()[3] == 43;
    if (!big_tiff && !internal::TiffHasTag(request_.bytes(), TIFFTAG_EXTRASAMPLES))
      kind_.extra = -1;
    if (kind_.format == SAMPLEFORMAT_VOID) kind_.format = SAMPLEFORMAT_UINT;
    if (TIFFIsCODECConfigured(kind_.compression) == 0) {
      request_.ThrowNotRead("TIFF", fmt::format("compression {}", kind_.compression));
    }
    if (kind_.samples < 1 || kind_.samples > kMostTiffSamples) NotRead();
  }

  TiffPlan MakePlan() const {
    switch (kind_.photometric) {
      case PHOTOMETRIC_MINISWHITE:
      case PHOTOMETRIC_MINISBLACK:
        return kind_.samples == 1 ? PlanOfGray() : PlanOfGrayAlpha();
      case PHOTOMETRIC_RGB:
        return PlanOfRgb();
      case PHOTOMETRIC_PALETTE:
        return PlanOfPalette();
      case PHOTOMETRIC_SEPARATED:
        if (!Bytes8Or16() || kind_.samples < 4 || kind_.extra > 0) NotRead();
        return {.mode = PixelMode::kCmyk, .channels = 4};
      case PHOTOMETRIC_YCBCR:
        return PlanOfYcbcr();
      case PHOTOMETRIC_CIELAB:
        if (kind_.format != SAMPLEFORMAT_UINT || kind_.bits != 8 || kind_.samples != 3) NotRead();
        return {.mode = PixelMode::kLab, .channels = 3};
      default:
        NotRead();
    }
  }

  bool Bytes8Or16() const {
    return kind_.format == SAMPLEFORMAT_UINT && (kind_.bits == 8 || kind_.bits == 16);
  }

  TiffPlan PlanOfGray() const {
    const bool white_is_0 = kind_.photometric == PHOTOMETRIC_MINISWHITE;
    TiffPlan plan{.channels = 1};
    // As Pillow, which does not turn round what it does not keep in 8 bits.
    plan.inverted = white_is_0 && kind_.bits <= 8;
    if (kind_.format == SAMPLEFORMAT_UINT) {
      switch (kind_.bits) {
        case 1:
          plan.mode = PixelMode::kBilevel;
          return plan;
        case 2:
        case 4:
        case 8:
          plan.mode = PixelMode::kGray;
          return plan;
        case 12:
        case 16:
          plan.mode = PixelMode::kGray16;
          return plan;
        case 32:
          plan.mode = PixelMode::kInt32;
          return plan;
        default:
          NotRead();
      }
    }
    if (kind_.format == SAMPLEFORMAT_INT && !white_is_0) {
      if (kind_.bits == 8) {
        plan.mode = PixelMode::kGray;
        return plan;
      }
      if (kind_.bits == 16 || kind_.bits == 32) {
        plan.mode = PixelMode::kInt32;
        return plan;
      }
    }
    if (kind_.format == SAMPLEFORMAT_IEEEFP && kind_.bits == 32) {
      plan.mode = PixelMode::kFloat32;
      return plan;
    }
    NotRead();
  }

  TiffPlan PlanOfGrayAlpha() const {
    if (kind_.extra == EXTRASAMPLE_UNSPECIFIED && Separate()) return PlanOfGray();
    if (kind_.photometric == PHOTOMETRIC_MINISWHITE || kind_.samples != 2 || kind_.bits != 8 ||
        kind_.format != SAMPLEFORMAT_UINT) {
      NotRead();
    }
    if (kind_.extra == EXTRASAMPLE_UNSPECIFIED) return {.mode = PixelMode::kGray, .channels = 1};
    return {.mode = PixelMode::kGrayAlpha,
            .channels = 2,
            .multiplied = kind_.extra == EXTRASAMPLE_ASSOCALPHA};
  }

  TiffPlan PlanOfRgb() const {
    if (!Bytes8Or16() || kind_.samples < 3) NotRead();
    const bool alpha = kind_.samples > 3 && kind_.extra != EXTRASAMPLE_UNSPECIFIED;
    if (!alpha) return {.mode = PixelMode::kRgb, .channels = 3};
    // Pillow takes alpha that is not explained for plain if it lies beside the colours, and for
    // multiplied if it has a compressed plane of its own.
    const bool plane = Separate() && kind_.compression != COMPRESSION_NONE && kind_.extra < 0;
    return {.mode = PixelMode::kRgba,
            .channels = 4,
            .multiplied = kind_.extra == EXTRASAMPLE_ASSOCALPHA || plane};
  }

  TiffPlan PlanOfPalette() const {
    if (kind_.format != SAMPLEFORMAT_UINT || kind_.bits > 8 || kind_.samples > 2 ||
        (kind_.samples == 2 && kind_.bits != 8)) {
      NotRead();
    }
    const bool alpha = kind_.samples == 2 && kind_.extra > 0;
    return {.mode = PixelMode::kPalette, .channels = alpha ? 2 : 1, .palette_alpha = alpha};
  }

  TiffPlan PlanOfYcbcr() const {
    if (kind_.bits != 8 || kind_.format != SAMPLEFORMAT_UINT) NotRead();
    if (kind_.samples == 1) return {.mode = PixelMode::kGray, .channels = 1};
    if (kind_.samples != 3) NotRead();
    if (kind_.compression == COMPRESSION_JPEG && kind_.planar == PLANARCONFIG_CONTIG) {
      TIFFSetField(tiff_.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
      return {.mode = PixelMode::kRgb, .channels = 3};
    }
    std::uint16_t across = 2;
    std::uint16_t down = 2;
    TIFFGetFieldDefaulted(tiff_.get(), TIFFTAG_YCBCRSUBSAMPLING, &across, &down);
    if (kind_.compression == COMPRESSION_NONE && across == 1 && down == 1) {
      return {.mode = PixelMode::kYcbcr, .channels = 3};
    }
    return {.mode = PixelMode::kRgb, .channels = 3, .by_library = true};
  }

  // The pixels, once more if they are turned, and a strip or tile with what unpacks it.
  void TakeMemory(Index width, Index height) {
    const Index pixel = plan_.palette_alpha ? 4 : BytesPerPixel(plan_.mode);
    const Index pixels = width * height * pixel;
    piece_ = plan_.by_library                ? 0
             : TIFFIsTiled(tiff_.get()) != 0 ? TIFFTileSize(tiff_.get())
                                             : TIFFStripSize(tiff_.get());
    if (!plan_.by_library && piece_ <= 0) Fail();
    // The samples of all planes, as they are stored.
    const Index stored = width * height * kind_.samples * ((kind_.bits + 7) / 8);
    if (piece_ > stored + kTiffSlack) {
      request_.ThrowBroken("TIFF",
                           fmt::format("a tile of {} bytes, the picture has {}", piece_, stored));
    }
    const Index packed = width * height / 8 * kind_.samples * kind_.bits;
    if (kind_.compression == COMPRESSION_NONE &&
        packed > static_cast<Index>(request_.bytes().size())) {
      request_.ThrowCannotHold("TIFF", packed);
    }
    const Index by_library = plan_.by_library ? 5 * width * height : 0;
    request_.TakeMemory(2 * pixels + 2 * Index{piece_} + by_library);
  }

  void ReadPalette() {
    if (plan_.mode != PixelMode::kPalette) return;
    std::uint16_t* planes[3] = {};
    if (TIFFGetField(tiff_.get(), TIFFTAG_COLORMAP, &planes[0], &planes[1], &planes[2]) == 0) {
      request_.ThrowBroken("TIFF", "it has no palette");
    }
    palette_ = internal::NewPalette();
    for (std::size_t i = 0; i < std::size_t{1} << kind_.bits; ++i) {
      for (std::size_t c = 0; c < 3; ++c) {
        palette_[4 * i + c] = static_cast<std::uint8_t>(planes[c][i] >> 8);
      }
    }
  }

  // libtiff's own conversion, for YCbCr whose colours are stored at fewer places.
  void ReadByLibrary() {
    std::vector<std::uint32_t> pixels(ToSize(image_.width * image_.height));
    if (TIFFReadRGBAImageOriented(tiff_.get(), static_cast<std::uint32_t>(image_.width),
                                  static_cast<std::uint32_t>(image_.height), pixels.data(),
                                  ORIENTATION_TOPLEFT, 1) == 0) {
      Fail();
    }
    std::uint8_t* out = image_.pixels.data();
    for (const std::uint32_t pixel : pixels) {
      *out++ = static_cast<std::uint8_t>(TIFFGetR(pixel));
      *out++ = static_cast<std::uint8_t>(TIFFGetG(pixel));
      *out++ = static_cast<std::uint8_t>(TIFFGetB(pixel));
    }
  }

  bool Separate() const { return kind_.planar == PLANARCONFIG_SEPARATE && kind_.samples > 1; }
  int Planes() const { return Separate() ? plan_.channels : 1; }

  void ReadStrips() {
    TIFF* tiff = tiff_.get();
    std::uint32_t rows = 0;
    TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &rows);
    const Index step = std::clamp<Index>(rows, 1, image_.height);
    const tmsize_t row_bytes = TIFFScanlineSize(tiff);
    CheckRow(row_bytes, image_.width, step);
    std::vector<std::uint8_t> buffer(static_cast<std::size_t>(piece_));
    for (int plane = 0; plane < Planes(); ++plane) {
      for (Index y = 0; y < image_.height; y += step) {
        std::ranges::fill(buffer, std::uint8_t{0});
        const std::uint32_t strip = TIFFComputeStrip(tiff, static_cast<std::uint32_t>(y),
                                                     static_cast<std::uint16_t>(plane));
        if (TIFFReadEncodedStrip(tiff, strip, buffer.data(), piece_) < 0) Fail();
        const Index count = std::min(step, image_.height - y);
        for (Index r = 0; r < count; ++r) {
          Unpack(buffer.data() + r * row_bytes, 0, y + r, image_.width, plane);
        }
      }
    }
  }

  void ReadTiles() {
    TIFF* tiff = tiff_.get();
    std::uint32_t tile_width = 0;
    std::uint32_t tile_height = 0;
    TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &tile_width);
    TIFFGetField(tiff, TIFFTAG_TILELENGTH, &tile_height);
    if (tile_width == 0 || tile_height == 0) Fail();
    const tmsize_t row_bytes = TIFFTileRowSize(tiff);
    CheckRow(row_bytes, tile_width, tile_height);
    std::vector<std::uint8_t> buffer(static_cast<std::size_t>(piece_));
    for (int plane = 0; plane < Planes(); ++plane) {
      for (Index y = 0; y < image_.height; y += tile_height) {
        for (Index x = 0; x < image_.width; x += tile_width) {
          std::ranges::fill(buffer, std::uint8_t{0});
          if (TIFFReadTile(tiff, buffer.data(), static_cast<std::uint32_t>(x),
                           static_cast<std::uint32_t>(y), 0,
                           static_cast<std::uint16_t>(plane)) < 0) {
            Fail();
          }
          const Index rows = std::min<Index>(tile_height, image_.height - y);
          const Index columns = std::min<Index>(tile_width, image_.width - x);
          for (Index r = 0; r < rows; ++r) {
            Unpack(buffer.data() + r * row_bytes, x, y + r, columns, plane);
          }
        }
      }
    }
  }

  // Rows of `width` pixels lie in the strip or tile, and all `rows` of them.
  void CheckRow(tmsize_t row_bytes, Index width, Index rows) const {
    const Index samples = Separate() ? 1 : kind_.samples;
    const Index needed = (width * samples * kind_.bits + 7) / 8;
    if (Index{row_bytes} < needed || rows > Index{piece_} / std::max<Index>(row_bytes, 1)) {
      request_.ThrowBroken("TIFF",
                           fmt::format("rows of {} bytes, {} are needed", row_bytes, needed));
    }
  }

  // Samples of `count` pixels to row y from column x on.
  void Unpack(const std::uint8_t* in, Index x, Index y, Index count, int plane) {
    const Index pixel = BytesPerPixel(image_.mode);
    std::uint8_t* out = image_.pixels.data() + (y * image_.width + x) * pixel;
    const Index step = Separate() ? 1 : kind_.samples;
    switch (plan_.mode) {
      case PixelMode::kGray16:
        for (Index i = 0; i < count; ++i) {
          const std::uint16_t v = kind_.bits == 16 ? Read<std::uint16_t>(in, i) : Bits12(in, i);
          std::memcpy(out + 2 * i, &v, sizeof(v));
        }
        return;
      case PixelMode::kInt32:
        for (Index i = 0; i < count; ++i) {
          const std::int32_t v =
              kind_.bits == 16 ? Read<std::int16_t>(in, i) : Read<std::int32_t>(in, i);
          std::memcpy(out + 4 * i, &v, sizeof(v));
        }
        return;
      case PixelMode::kFloat32:
        std::memcpy(out, in, ToSize(4 * count));
        return;
      default:
        break;
    }
    if (plan_.palette_alpha) {
      for (Index i = 0; i < count; ++i) {
        if (plane == 0)
          std::copy_n(palette_.data() + 4 * std::size_t{in[i * step]}, 3, out + 4 * i);
        if (!Separate()) out[4 * i + 3] = in[i * step + 1];
        if (plane == 1) out[4 * i + 3] = in[i];
      }
      return;
    }
    const int first = Separate() ? plane : 0;
    const int last = Separate() ? plane + 1 : plan_.channels;
    for (Index i = 0; i < count; ++i) {
      for (int c = first; c < last; ++c) {
        out[i * pixel + c] = Byte(in, i * step + (c - first));
      }
    }
  }

  template <typename T>
  static T Read(const std::uint8_t* in, Index i) {
    return LoadAs<T>(in + i * static_cast<Index>(sizeof(T)));
  }

  static std::uint16_t Bits12(const std::uint8_t* in, Index i) {
    const std::uint8_t* at = in + i / 2 * 3;
    return static_cast<std::uint16_t>(i % 2 == 0 ? at[0] << 4 | at[1] >> 4
                                                 : (at[1] & 15) << 8 | at[2]);
  }

  // Sample i of a row as a byte: of 16 bits the high one, as Pillow takes it.
  std::uint8_t Byte(const std::uint8_t* in, Index i) const {
    unsigned v;
    if (kind_.bits == 8) {
      v = in[i];
    } else if (kind_.bits == 16) {
      v = static_cast<unsigned>(Read<std::uint16_t>(in, i)) >> 8;
    } else {
      const Index per_byte = 8 / kind_.bits;
      const auto shift = static_cast<unsigned>(8 - kind_.bits * (i % per_byte + 1));
      const unsigned most = (1u << kind_.bits) - 1;
      v = in[i / per_byte] >> shift & most;
      if (plan_.mode != PixelMode::kPalette) v = v * 255 / most;
    }
    return static_cast<std::uint8_t>(plan_.inverted ? 255 - v : v);
  }

  void DivideByAlpha() {
    const Index channels = BytesPerPixel(image_.mode);
    for (std::size_t i = 0; i < image_.pixels.size(); i += ToSize(channels)) {
      std::uint8_t* pixel = image_.pixels.data() + i;
      for (Index c = 0; c < channels - 1; ++c) {
        pixel[c] = internal::WithoutAlpha(pixel[c], pixel[channels - 1]);
      }
    }
  }

  // The file has a and b as signed bytes.
  void AddToSigned() {
    for (std::size_t i = 0; i < image_.pixels.size(); ++i) {
      if (i % 3 != 0) image_.pixels[i] ^= 0x80;
    }
  }

  internal::DecodeRequest& request_;
  TiffSource source_;
  std::unique_ptr<TIFF, TiffClose> tiff_;
  TiffKind kind_;
  TiffPlan plan_;
  tmsize_t piece_ = 0;
  std::vector<std::uint8_t> palette_;
  Image image_;
};

}  // namespace

Image internal::DecodeTiff(DecodeRequest& request) { return TiffReader(request).Read(); }

}  // namespace cliplens
