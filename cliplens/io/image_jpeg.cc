// JPEG through libjpeg with its defaults, which are Pillow's: accurate integer DCT, smooth
// upsampling of the colour planes, warnings ignored.
#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdio>  // jpeglib.h needs FILE and size_t
#include <cstdlib>
#include <memory>
#include <string_view>

// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include "cliplens/base/error.h"
#include "cliplens/io/image_codecs.h"

namespace cliplens {

namespace {

// A progressive file may repeat scans without end, each of which costs a pass over the whole
// picture; encoders write about ten.
constexpr int kMaxScans = 500;

// A block takes a bit at least (Huffman codes have one or more) and stands for 32 x 32 pixels at
// most, so a header that claims more for every byte of the file is refused before memory is taken.
constexpr Index kMaxPixelsPerByte = 8 * 32 * 32;

constexpr Index kMaxJpegSide = 65500;

// libjpeg reports an error by a call that must not return. It jumps back to the function that
// called the library; those functions hold no object that would need a destructor.
struct JpegErrorState {
  jpeg_error_mgr manager;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

JpegErrorState* StateOf(j_common_ptr info) { return reinterpret_cast<JpegErrorState*>(info->err); }

[[noreturn]] void OnError(j_common_ptr info) {
  JpegErrorState* state = StateOf(info);
  info->err->format_message(info, state->message);
  std::longjmp(state->jump, 1);
}

void OnMessage(j_common_ptr) {}

void SetUp(JpegErrorState* state) {
  jpeg_std_error(&state->manager);
  state->manager.error_exit = OnError;
  state->manager.output_message = OnMessage;
  state->message[0] = '\0';
}

// The source holds the whole file. When it runs dry the library is told to wait, as Pillow does:
// a picture that is complete without its end marker is then still read, and one that is cut off
// is noticed rather than filled with grey.
void Nothing(j_decompress_ptr) {}
boolean RunDry(j_decompress_ptr) { return FALSE; }
void Skip(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  jpeg_source_mgr* source = info->src;
  const std::size_t step = std::min(ToSize(count), source->bytes_in_buffer);
  source->next_input_byte += step;
  source->bytes_in_buffer -= step;
}

void OnProgress(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMaxScans) return;
  JpegErrorState* state = StateOf(info);
  std::snprintf(state->message, sizeof(state->message), "more than %d scans", kMaxScans);
  std::longjmp(state->jump, 1);
}

enum class Outcome { kDone, kCutOff, kFailed };

// Owns libjpeg's reader.
class JpegReader {
 public:
  explicit JpegReader(std::span<const std::uint8_t> bytes) : info_{}, source_{}, progress_{} {
    SetUp(&error_);
    info_.err = &error_.manager;
    source_.next_input_byte = bytes.data();
    source_.bytes_in_buffer = bytes.size();
    source_.init_source = Nothing;
    source_.fill_input_buffer = RunDry;
    source_.skip_input_data = Skip;
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.term_source = Nothing;
    progress_.progress_monitor = OnProgress;
  }
  ~JpegReader() { jpeg_destroy_decompress(&info_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  Outcome ReadHeader();
  Outcome Start();
  // Fills rows of `stride` bytes each, output_height of them.
  Outcome ReadRows(std::uint8_t* pixels, std::size_t stride);

  jpeg_decompress_struct& info() { return info_; }
  const JpegErrorState& error() const { return error_; }

 private:
  jpeg_decompress_struct info_;
  jpeg_source_mgr source_;
  jpeg_progress_mgr progress_;
  JpegErrorState error_;
};

Outcome JpegReader::ReadHeader() {
  if (setjmp(error_.jump) != 0) return Outcome::kFailed;
  jpeg_create_decompress(&info_);
  info_.src = &source_;
  info_.progress = &progress_;
  int status;
  do {
    status = jpeg_read_header(&info_, FALSE);
  } while (status == JPEG_HEADER_TABLES_ONLY);
  return status == JPEG_SUSPENDED ? Outcome::kCutOff : Outcome::kDone;
}

Outcome JpegReader::Start() {
  if (setjmp(error_.jump) != 0) return Outcome::kFailed;
  return jpeg_start_decompress(&info_) ? Outcome::kDone : Outcome::kCutOff;
}

Outcome JpegReader::ReadRows(std::uint8_t* pixels, std::size_t stride) {
  if (setjmp(error_.jump) != 0) return Outcome::kFailed;
  while (info_.output_scanline < info_.output_height) {
    JSAMPROW row = pixels + info_.output_scanline * stride;
    if (jpeg_read_scanlines(&info_, &row, 1) != 1) return Outcome::kCutOff;
  }
  // What is missing after the last row does not matter; what is broken there does, as in Pillow.
  jpeg_finish_decompress(&info_);
  return Outcome::kDone;
}

void Check(Outcome outcome, const JpegReader& reader, const internal::DecodeRequest& request) {
  if (outcome == Outcome::kDone) return;
  if (outcome == Outcome::kCutOff) request.ThrowCutOff("JPEG");
  const JpegErrorState& error = reader.error();
  switch (error.manager.msg_code) {
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_ARITH_NOTIMPL:
    case JERR_NOT_COMPILED:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_BAD_J_COLORSPACE:
    case JERR_CCIR601_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
      request.ThrowNotRead("JPEG", error.message);
    case JERR_OUT_OF_MEMORY:
      throw Error(ErrorCode::kExhausted,
                  "{}: no memory is left for the JPEG ({}); make the picture smaller",
                  request.name(), error.message);
    default:
      request.ThrowBroken("JPEG", error.message);
  }
}

// What libjpeg holds at once: of a progressive file every coefficient, two bytes each.
Index JpegMemory(const jpeg_decompress_struct& info) {
  Index coefficients = 0;
  if (info.progressive_mode || info.arith_code) {
    for (int c = 0; c < info.num_components; ++c) {
      const jpeg_component_info& component = info.comp_info[c];
      coefficients += Index{component.width_in_blocks + 32} * (component.height_in_blocks + 32);
    }
  }
  const Index pixels = Index{info.image_width} * Index{info.image_height};
  return coefficients * DCTSIZE2 * Index{sizeof(JCOEF)} + pixels * info.num_components;
}

// Owns libjpeg's writer and the memory that it writes to.
class JpegWriter {
 public:
  JpegWriter() : info_{} {
    SetUp(&error_);
    info_.err = &error_.manager;
  }
  ~JpegWriter() {
    jpeg_destroy_compress(&info_);
    std::free(data_);
  }
  JpegWriter(const JpegWriter&) = delete;
  JpegWriter& operator=(const JpegWriter&) = delete;

  bool Write(const Image& image, int quality);
  std::span<const std::uint8_t> bytes() const { return {data_, size_}; }
  const char* message() const { return error_.message; }

 private:
  jpeg_compress_struct info_;
  JpegErrorState error_;
  unsigned char* data_ = nullptr;
  unsigned long size_ = 0;  // NOLINT(google-runtime-int): libjpeg's type
};

bool JpegWriter::Write(const Image& image, int quality) {
  if (setjmp(error_.jump) != 0) return false;
  jpeg_create_compress(&info_);
  jpeg_mem_dest(&info_, &data_, &size_);
  info_.image_width = static_cast<JDIMENSION>(image.width);
  info_.image_height = static_cast<JDIMENSION>(image.height);
  info_.input_components = static_cast<int>(BytesPerPixel(image.mode));
  info_.in_color_space = image.mode == PixelMode::kGray ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&info_);
  jpeg_set_quality(&info_, quality, TRUE);
  info_.optimize_coding = TRUE;
  jpeg_start_compress(&info_, TRUE);
  const std::size_t stride = ToSize(image.width * BytesPerPixel(image.mode));
  while (info_.next_scanline < info_.image_height) {
    // libjpeg's row type is not const, the library only reads it.
    JSAMPROW row = const_cast<JSAMPROW>(image.pixels.data()) + info_.next_scanline * stride;
    jpeg_write_scanlines(&info_, &row, 1);
  }
  jpeg_finish_compress(&info_);
  return true;
}

}  // namespace

namespace internal {

// The orientation that the segments before the picture tell; as in Pillow EXIF goes before XMP.
int OrientationOfJpeg(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kExif("Exif\0\0", 6);
  constexpr std::string_view kXmp("http://ns.adobe.com/xap/1.0/\0", 29);
  int of_exif = 1;
  int of_xmp = 1;
  std::size_t at = 2;
  while (at + 4 <= bytes.size() && bytes[at] == 0xFF) {
    const std::uint8_t marker = bytes[at + 1];
    if (marker == 0xFF) {  // a fill byte
      ++at;
      continue;
    }
    if (marker == 0xDA || marker == 0xD9) break;  // the picture, the end
    const std::size_t size = std::size_t{bytes[at + 2]} << 8 | bytes[at + 3];
    if (size < 2 || size > bytes.size() - at - 2) break;
    if (marker == 0xE1) {
      const std::span<const std::uint8_t> body = bytes.subspan(at + 4, size - 2);
      const std::string_view text(reinterpret_cast<const char*>(body.data()), body.size());
      if (text.starts_with(kExif) && of_exif == 1) {
        of_exif = OrientationOfExif(body.subspan(kExif.size()));
      } else if (text.starts_with(kXmp)) {
        of_xmp = OrientationOfXmp(text);
      }
    }
    at += 2 + size;
  }
  return of_exif != 1 ? of_exif : of_xmp;
}

Image DecodeJpeg(DecodeRequest& request) {
  const std::span<const std::uint8_t> bytes = request.bytes();
  const auto reader = std::make_unique<JpegReader>(bytes);
  Check(reader->ReadHeader(), *reader, request);
  jpeg_decompress_struct& info = reader->info();
  const int orientation = OrientationOfJpeg(bytes);
  request.CheckSize(static_cast<Index>(info.image_width), static_cast<Index>(info.image_height),
                    orientation);
  const Index pixels = static_cast<Index>(info.image_width) * static_cast<Index>(info.image_height);
  if (!info.arith_code && pixels / kMaxPixelsPerByte > static_cast<Index>(bytes.size())) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the JPEG's header claims {} x {} pixels, the file's {} bytes cannot hold "
                "them; fetch it again",
                request.name(), info.image_width, info.image_height, bytes.size());
  }
  PixelMode mode;
  switch (info.num_components) {
    case 1:
      mode = PixelMode::kGray;
      info.out_color_space = JCS_GRAYSCALE;
      break;
    case 3:
      mode = PixelMode::kRgb;
      info.out_color_space = JCS_RGB;
      break;
    case 4:
      mode = PixelMode::kCmyk;
      info.out_color_space = JCS_CMYK;
      break;
    default:
      throw Error(ErrorCode::kUnsupported,
                  "{}: the JPEG has {} colour planes, only 1, 3 and 4 are read; convert it to PNG",
                  request.name(), info.num_components);
  }
  request.TakeMemory(JpegMemory(info));
  Check(reader->Start(), *reader, request);
  Image image =
      NewImage(mode, static_cast<Index>(info.output_width), static_cast<Index>(info.output_height));
  const std::size_t stride = ToSize(image.width * BytesPerPixel(mode));
  Check(reader->ReadRows(image.pixels.data(), stride), *reader, request);
  if (mode == PixelMode::kCmyk) {
    // Adobe writes CMYK with inverted ink, and every program reads all files that way.
    for (std::uint8_t& v : image.pixels) v = static_cast<std::uint8_t>(255 - v);
  }
  image.orientation = orientation;
  return image;
}

}  // namespace internal

std::vector<std::uint8_t> EncodeJpeg(const Image& image, int quality) {
  CheckImage(image);
  if (quality < 0 || quality > 100) {
    throw Error(ErrorCode::kInvalidArgument, "JPEG quality {}: 0 to 100 is allowed", quality);
  }
  if (image.width > kMaxJpegSide || image.height > kMaxJpegSide) {
    throw Error(ErrorCode::kUnsupported,
                "picture of {} x {} pixels: a JPEG holds at most {} a side; write a PNG",
                image.width, image.height, kMaxJpegSide);
  }
  if (image.mode != PixelMode::kRgb && image.mode != PixelMode::kGray) {
    return EncodeJpeg(ConvertToRgb(image), quality);
  }
  const auto writer = std::make_unique<JpegWriter>();
  if (!writer->Write(image, quality)) {
    throw Error(ErrorCode::kExhausted, "picture of {} x {} pixels: libjpeg could not write it ({})",
                image.width, image.height, writer->message());
  }
  const std::span<const std::uint8_t> bytes = writer->bytes();
  return {bytes.begin(), bytes.end()};
}

}  // namespace cliplens
