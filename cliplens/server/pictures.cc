#include "cliplens/server/pictures.h"

#include <algorithm>
#include <optional>

#include "cliplens/io/picture_format.h"
#include "cliplens/model/preprocess.h"
#include "cliplens/report/heat_map_report.h"
#include "cliplens/report/thumbnail.h"

namespace cliplens::server {
namespace {

// Of formats that every browser shows; else empty.
const char* ContentTypeOf(std::span<const std::uint8_t> bytes) {
  const std::optional<PictureFormat> format = PictureFormatOf(bytes);
  if (format == PictureFormat::kJpeg) return "image/jpeg";
  if (format == PictureFormat::kPng) return "image/png";
  if (format == PictureFormat::kWebp) return "image/webp";
  return "";
}

PictureFile FileOf(std::span<const std::uint8_t> bytes) {
  return {std::string(bytes.begin(), bytes.end()), ContentTypeOf(bytes)};
}

Image Shown(std::span<const std::uint8_t> bytes, const std::string& name, const Showing& showing) {
  return ConvertToRgb(DecodeImage(
      bytes, name,
      {.max_pixels = showing.max_pixels, .exif_orientation = showing.exif_orientation}));
}

}  // namespace

PictureFile WholePicture(std::span<const std::uint8_t> bytes, const std::string& name,
                         const Showing& showing) {
  // A browser turns a picture upright, whether the model does or not.
  PictureFile file = FileOf(bytes);
  const bool as_it_is =
      !file.content_type.empty() && (showing.exif_orientation || ExifOrientationOf(bytes) == 1);
  return as_it_is ? file : FileOf(EncodePng(Shown(bytes, name, showing)));
}

PictureFile SmallPicture(std::span<const std::uint8_t> bytes, const std::string& name, Index side,
                         const Showing& showing) {
  Image picture = Shown(bytes, name, showing);
  if (std::max(picture.width, picture.height) > side) {
    const FittedSize size = FitInto(picture, side);
    picture = Resize(picture, size.width, size.height, Interpolation::kBicubic);
  }
  return FileOf(EncodeSmall(picture).bytes);
}

}  // namespace cliplens::server
