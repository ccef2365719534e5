// Shared by image.cc and the files of the formats; not part of the interface.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cliplens/io/decode_memory.h"
#include "cliplens/io/image.h"

namespace cliplens::internal {

// One picture to decode, and what is to be asked before memory is taken.
class DecodeRequest {
 public:
  DecodeRequest(std::span<const std::uint8_t> bytes, const std::string& name,
                const DecodeOptions& options)
      : bytes_(bytes), name_(name), options_(options) {}

  std::span<const std::uint8_t> bytes() const { return bytes_; }
  const std::string& name() const { return name_; }

  // Refuses sizes of zero and above max_pixels, and what options.check_size refuses. `orientation`
  // as in Image.
  void CheckSize(Index width, Index height, int orientation = 1) const;

  // Waits until `count` bytes may be taken, the picture's pixels included. Called once.
  void TakeMemory(Index count);

  // After the decoder is done.
  std::shared_ptr<DecodeMemory> ReleaseMemory() { return std::move(memory_); }

  [[noreturn]] void ThrowCutOff(const char* format) const;
  [[noreturn]] void ThrowBroken(const char* format, std::string_view why) const;
  [[noreturn]] void ThrowCannotHold(const char* format, Index claimed) const;
  // A kind of this format that is not read.
  [[noreturn]] void ThrowNotRead(const char* format, std::string_view what) const;

 private:
  std::span<const std::uint8_t> bytes_;
  const std::string& name_;
  const DecodeOptions& options_;
  std::shared_ptr<DecodeMemory> memory_;
};

// 256 entries of RGBA: black, opaque.
std::vector<std::uint8_t> NewPalette();

// Each expects bytes that open with the format's signature.
Image DecodeAvif(DecodeRequest& request);
Image DecodeBmp(DecodeRequest& request);
Image DecodeGif(DecodeRequest& request);
Image DecodeHeic(DecodeRequest& request);
Image DecodeJpeg(DecodeRequest& request);
Image DecodeJpeg2000(DecodeRequest& request);
Image DecodePng(DecodeRequest& request);
Image DecodeTiff(DecodeRequest& request);
Image DecodeWebp(DecodeRequest& request);

// The orientation in a block of EXIF (a TIFF header and its first directory), 1 if there is none or
// the block is damaged.
int OrientationOfExif(std::span<const std::uint8_t> exif);
// The orientation that a file of the format tells, 1 if none or the file is damaged.
int OrientationOfJpeg(std::span<const std::uint8_t> bytes);
int OrientationOfPng(std::span<const std::uint8_t> bytes);
int OrientationOfWebp(std::span<const std::uint8_t> bytes);
// Whether the first directory of a TIFF file, or of EXIF, has the entry `tag`.
bool TiffHasTag(std::span<const std::uint8_t> tiff, unsigned tag);
// The orientation in a text of XMP.
int OrientationOfXmp(std::string_view xmp);

// RGB of one pixel of Y, Cb, Cr in Pillow's fixed-point arithmetic, in place.
void YcbcrToRgb(std::uint8_t* pixel);

// RGB of pixels of PixelMode::kLab, three bytes each. Throws std::bad_alloc.
void LabToRgb(std::span<const std::uint8_t> lab, std::span<std::uint8_t> rgb);

// c * 255 / a of a colour that was multiplied by its alpha, as Pillow's unpackers.
std::uint8_t WithoutAlpha(unsigned value, unsigned alpha);

}  // namespace cliplens::internal
