#include "cliplens/server/pictures.h"

#include <algorithm>

#include "cliplens/io/file.h"
#include "cliplens/model/preprocess.h"
#include "cliplens/report/heat_map_report.h"
#include "cliplens/report/thumbnail.h"

namespace cliplens::server {
namespace {

PictureFile FileOf(std::span<const std::uint8_t> bytes) {
  PictureFile file;
  file.bytes.assign(bytes.begin(), bytes.end());
  file.content_type = ContentTypeOf(bytes);
  file.tag = HashBytes(bytes);
  return file;
}

}  // namespace

std::string_view ContentTypeOf(std::span<const std::uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("\x89PNG")) return "image/png";
  if (text.starts_with("\xff\xd8")) return "image/jpeg";
  if (text.starts_with("RIFF") && text.size() > 12 && text.substr(8, 4) == "WEBP") {
    return "image/webp";
  }
  return "";
}

PictureFile WholePicture(std::span<const std::uint8_t> bytes) { return FileOf(bytes); }

PictureFile SmallPicture(std::span<const std::uint8_t> bytes, const std::string& name, Index side,
                         Index max_pixels) {
  Image picture = ConvertToRgb(DecodeImage(bytes, name, max_pixels));
  if (std::max(picture.width, picture.height) > side) {
    const FittedSize size = FitInto(picture, side);
    picture = Resize(picture, size.width, size.height, Interpolation::kBicubic);
  }
  return FileOf(EncodeSmall(picture).bytes);
}

}  // namespace cliplens::server
