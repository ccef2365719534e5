#include "cliplens/server/pictures.h"

#include <algorithm>

#include "cliplens/io/picture_format.h"
#include "cliplens/model/preprocess.h"
#include "cliplens/report/heat_map_report.h"
#include "cliplens/report/thumbnail.h"

namespace cliplens::server {

PictureFile WholePicture(std::span<const std::uint8_t> bytes) {
  constexpr const char* kTypes[] = {"image/jpeg", "image/png", "image/webp"};  // of PictureFormat
  const auto format = PictureFormatOf(bytes);
  return {std::string(bytes.begin(), bytes.end()), format ? kTypes[static_cast<int>(*format)] : ""};
}

PictureFile SmallPicture(std::span<const std::uint8_t> bytes, const std::string& name, Index side,
                         Index max_pixels) {
  Image picture = ConvertToRgb(DecodeImage(bytes, name, max_pixels));
  if (std::max(picture.width, picture.height) > side) {
    const FittedSize size = FitInto(picture, side);
    picture = Resize(picture, size.width, size.height, Interpolation::kBicubic);
  }
  return WholePicture(EncodeSmall(picture).bytes);
}

}  // namespace cliplens::server
